"""Temporary files: lines by bucket, and lines in order, of which memory holds a part."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from batchtwin.compare.errors import TemporaryFilesError

T = TypeVar("T")
# Lines held for all buckets together before they are written.
HELD = 50_000
# Sorted runs that are open at the same time.
FAN = 100


class Buckets:
    """Lines in `count` files; lines with equal keys are in the same one."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self._parts: list[list[bytes]] = [[] for _ in range(count)]
        self._held = 0
        with writing(folder):
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
        with writing(self.folder):
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
    """Sorts more rows than memory should hold: runs of `most` rows on disk, merged as they are read.

    `dump` makes a line of a row, `load` a row of a line.
    """

    def __init__(self, folder: Path, most: int, dump: Callable[[T], bytes], load: Callable[[bytes], T]) -> None:
        self.folder = folder
        self.most = most
        self._dump: Callable[[Any], bytes] = dump
        self._load: Callable[[bytes], Any] = load
        self._runs = 0

    def sort(self, rows: Iterable[T], key: Callable[[T], Any]) -> Iterator[T]:
        """Give the rows in order of their keys; all are taken in before the first one is given."""
        rows = iter(rows)
        levels: list[list[Path]] = []
        chunk = sorted(islice(rows, self.most), key=key)
        while len(chunk) == self.most:
            self._add(levels, self._write(chunk), key)
            chunk = sorted(islice(rows, self.most), key=key)
        if not levels:
            return iter(chunk)
        return heapq.merge(chunk, *map(self._read, chain(*levels)), key=key)

    def _add(self, levels: list[list[Path]], run: Path, key: Callable[[Any], Any]) -> None:
        """Add a run; where there are many of about the same size, make one of them."""
        for level in levels:
            level.append(run)
            if len(level) < FAN:
                return
            run = self._write(heapq.merge(*map(self._read, level), key=key))
            level.clear()
        levels.append([run])

    def _write(self, rows: Iterable[Any]) -> Path:
        self._runs += 1
        path = self.folder / f"run-{self._runs}"
        with writing(self.folder), path.open("wb") as file:
            file.writelines(map(self._dump, rows))
        return path

    def _read(self, path: Path) -> Iterator[Any]:
        with path.open("rb", buffering=1 << 16) as file:
            yield from map(self._load, file)
        path.unlink()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a refusal of the file system into words.

    Raises:
        TemporaryFilesError: the temporary files cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise TemporaryFilesError(folder, error.strerror or str(error)) from None
