"""Temporary files: lines by bucket, and lines in order, of which memory holds a part."""

from __future__ import annotations

import heapq
import marshal
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from batchtwin.compare.errors import TemporaryFilesError

T = TypeVar("T")
# Lines held for all buckets together before they are written.
HELD = 50_000
# Sorted runs that are open at the same time.
FAN = 100
# Rows of a run that are read at the same time.
TOGETHER = 250


class Buckets:
    """Lines in `count` files; lines with equal keys are in the same one."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self._parts: list[list[bytes]] = [[] for _ in range(count)]
        self._held = 0
        folder.mkdir()

    def add(self, keys: Iterable[Hashable], lines: list[bytes]) -> None:
        """Put each line where its key belongs. Shapes: (n,), (n,)."""
        parts, count = self._parts, len(self._parts)
        for number, line in zip(map(hash, keys), lines, strict=True):
            parts[number % count].append(line)
        self._held += len(lines)
        if self._held >= HELD:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        for number, part in enumerate(self._parts):
            if part:
                part.append(b"")
                with self.path(number).open("ab") as file:
                    file.write(b"\n".join(part))
                part.clear()
        self._held = 0

    def path(self, number: int) -> Path:
        """Where a bucket's lines are."""
        return self.folder / str(number)

    def size(self, number: int) -> int:
        """Bytes of a bucket."""
        path = self.path(number)
        return path.stat().st_size if path.exists() else 0

    def lines(self, number: int) -> Iterator[bytes]:
        """Give a bucket's lines, each with its line end, and remove the file."""
        path = self.path(number)
        if path.exists():
            with path.open("rb") as file:
                yield from file
            path.unlink()


class Sorter:
    """Sorts more tuples than memory should hold: runs of `most` on disk, merged as they are read.

    `load` makes a row again of the plain tuple that came back.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self.most = most
        self._runs = 0

    def sort(self, rows: Iterable[T], key: Callable[[T], Any], load: Callable[[Any], T]) -> Iterator[T]:
        """Give the rows in order of their keys; all are taken in before the first one is given."""
        rows = iter(rows)
        levels: list[list[Path]] = []
        merge = partial(heapq.merge, key=key)
        chunk = sorted(islice(rows, self.most), key=key)
        while len(chunk) == self.most:
            self._add(levels, self._write(chunk), lambda runs: merge(*(self._read(run, load) for run in runs)))
            chunk = sorted(islice(rows, self.most), key=key)
        return merge(chunk, *(self._read(run, load) for run in chain(*levels))) if levels else iter(chunk)

    def _add(self, levels: list[list[Path]], run: Path, merged: Callable[[list[Path]], Iterator[Any]]) -> None:
        """Add a run; where there are many of about the same size, make one of them."""
        for level in levels:
            level.append(run)
            if len(level) < FAN:
                return
            run = self._write(merged(level))
            level.clear()
        levels.append([run])

    def _write(self, rows: Iterable[Any]) -> Path:
        self._runs += 1
        path = self.folder / f"run-{self._runs}"
        rows = iter(rows)
        with path.open("wb") as file:
            while block := [tuple(row) for row in islice(rows, TOGETHER)]:
                data = marshal.dumps(block)
                file.write(len(data).to_bytes(8) + data)
        return path

    def _read(self, path: Path, load: Callable[[Any], T]) -> Iterator[T]:
        with path.open("rb") as file:
            while size := file.read(8):
                # This process wrote it, for nobody else.
                yield from map(load, marshal.loads(file.read(int.from_bytes(size))))  # noqa: S302
        path.unlink()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a refusal of the file system into words.

    Raises:
        TemporaryFilesError: the temporary files cannot be written or read.
    """
    try:
        yield
    except OSError as error:
        raise TemporaryFilesError(folder, error.strerror or str(error)) from None
