"""Segments: the files that workers append rows to, read range by range and checked."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from batchtwin.errors import OutputError
from batchtwin.inputs.plan import MiniBatch
from batchtwin.safe_open import open_file
from batchtwin_node.protocol import Outcome

BLOCK = 1 << 20
# Segments that assembly keeps open. With so many, if the system allows it, a job of as many workers opens each once.
OPEN_FILES, BESIDE = 2048, 512


class SegmentFiles:
    """Segments, open for reading. Only those used last stay open, because a process may open only so many files."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._root = root
        self._files: dict[str, BinaryIO] = {}
        self._most = max(1, _files_allowed(OPEN_FILES + BESIDE) - BESIDE)

    def __call__(self, name: str) -> BinaryIO:
        """Return a file by its name."""
        file = self._files.pop(name, None) or open_file(self._folder / name, "rb", self._root)
        self._files[name] = file  # the most recently used comes last
        if len(self._files) > self._most:
            self._files.pop(next(iter(self._files))).close()
        return file

    def close(self) -> None:
        """Close them all."""
        for file in self._files.values():
            file.close()


def _files_allowed(count: int) -> int:
    """Raise this process's limit of open files to `count` if the system allows it; return at most `count`."""
    if sys.platform == "win32":
        return min(count, 512)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return soft


def verified_bytes(source: BinaryIO, outcome: Outcome, offset: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a range, a block at a time, from the outcome's own offset or another.

    Raises:
        OutputError: after the last block, if they are not what the worker wrote.
    """
    begin = outcome.offset if offset is None else offset
    source.seek(begin)
    left, crc = outcome.length, 0
    while left and (block := source.read(min(left, BLOCK))):
        left -= len(block)
        crc = zlib.crc32(block, crc)
        yield block
    if left or crc != outcome.crc:
        raise OutputError(
            f"{source.name}: bytes {begin} to {begin + outcome.length} are not what worker "
            f"{outcome.worker} wrote for mini batch {outcome.mini_batch}; was the file changed?"
        )


def range_problem(
    path: Path, root: Path, outcome: Outcome, offset: int, mini_batches: Sequence[MiniBatch]
) -> str | None:
    """Say what is wrong with an outcome's bytes, expected at `offset` of a file below `root`; None if nothing is."""
    names = [file.name for file in mini_batches[outcome.mini_batch].files]
    files = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    range_text = f"{path}: bytes {offset} to {offset + outcome.length} (mini batch {outcome.mini_batch}, {files})"
    try:
        with open_file(path, "rb", root) as source:
            for _ in verified_bytes(source, outcome, offset):
                pass
    except OutputError:
        return f"{range_text} are not what was written"
    except OSError as error:
        return f"{range_text}: {error.strerror}"
    return None
