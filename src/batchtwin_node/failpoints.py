"""Places where a test may end this process, as a power cut or `kill -9` would. Nothing happens unless it asks.

`BATCHTWIN_CRASH_AT=parent:7:FILE` kills the parent at its seventh place, `worker:7:FILE` a worker at its own: the
first that gets there and makes FILE, so that it happens once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache


@lru_cache(maxsize=None)
def _target() -> tuple[str, int, str]:
    """Role, number and file of the place; read with the first place that is passed, not at import."""
    role, number, flag = [*os.environ.get("BATCHTWIN_CRASH_AT", "").split(":", 2), "0", ""][:3]
    return role, int(number), flag


@lru_cache(maxsize=None)
def failpoints(role: str) -> Callable[[str], None]:
    """Return the function that `role` (parent or worker) calls at each place, with the place's name."""
    passed = 0

    def point(name: str) -> None:
        nonlocal passed
        target, number, flag = _target()
        if target != role:
            return
        passed += 1
        if passed == number:
            with suppress(FileExistsError), open(flag, "x", encoding="utf-8") as stream:
                stream.write(name)
                stream.flush()
                os.kill(os.getpid(), signal.SIGKILL)

    return point
