"""A predictions file: where it is, what its first lines say, its records."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from batchtwin.compare.errors import BinaryFileError, LongLineError, NoPredictionsError, UnreadableError
from batchtwin.compare.grammar import Joiner
from batchtwin.compare.layout import Layout, layout_of

INNER = "named-outputs/score"
HEAD = 1 << 16
BLOCK = 1 << 22
LONGEST_LINE = 1 << 26
MAGIC = {b"PAR1": "a Parquet file", b"\x1f\x8b": "a gzip file", b"PK\x03\x04": "a zip file"}


def locate(path: Path) -> Path:
    """Return the predictions file: the path itself, or the only one in a job's output folder.

    Raises:
        CompareError: there is no such file, or more than one.
    """
    try:
        if path.is_dir():
            score = path / INNER
            found = [entry for entry in score.iterdir() if not entry.name.startswith(".")] if score.is_dir() else []
            if len(found) != 1 or not found[0].is_file():
                raise NoPredictionsError(path, INNER, sorted(entry.name for entry in found))
            return found[0]
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError(path, "is no regular file")
    except OSError as error:
        raise UnreadableError(path, error.strerror or "cannot be read") from None
    return path


@dataclass(frozen=True)
class Source:
    """One of the two files. `block`: bytes read at once."""

    path: Path
    block: int = BLOCK

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    @cached_property
    def head(self) -> list[bytes]:
        """The first lines.

        Raises:
            CompareError: these are no lines of text.
        """
        data = next(self._read(HEAD), b"")
        kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
        if kind or b"\0" in data:
            raise BinaryFileError(self.path, kind or "a binary file")
        lines = data.split(b"\n")
        # The last is empty or, in a larger file, cut.
        return lines[:-1] if len(lines) > 1 else lines if data else []

    @property
    def layout(self) -> Layout | None:
        """What most of the first lines look like; None for an empty file."""
        return layout_of(self.head)

    @property
    def has_header(self) -> bool:
        """Whether the first line looks like one: a row has digits, a header has none."""
        digits = [any(48 <= byte <= 57 for byte in line) for line in self.head[:2]]
        return digits == [False, True]

    def same_bytes(self, other: Source) -> bool:
        """Compare byte for byte."""
        return self.size == other.size and all(
            left == right for left, right in zip(self._read(self.block), other._read(self.block), strict=False)
        )

    def records(self, layout: Layout) -> Iterator[list[bytes]]:
        """Give all records, a block of them at a time."""
        joiner = Joiner(layout.grammar) if layout.grammar else None
        for block in self._whole_lines():
            lines = block[:-1].split(b"\n")
            yield list(joiner.join(lines)) if joiner and (joiner.held or b'"' in block) else lines
        if joiner:
            yield list(joiner.rest())

    def line_numbers(self, layout: Layout, wanted: set[bytes]) -> dict[bytes, int]:
        """Return the number, from 1, of the first line of each wanted record."""
        found: dict[bytes, int] = {}
        number = 1
        for block in self.records(layout) if wanted else ():
            if len(found) == len(wanted):
                break
            if not wanted.isdisjoint(block):
                for at, record in enumerate(block):
                    if record in wanted and record not in found:
                        found[record] = number + _line_count(block[:at])
            number += _line_count(block)
        return found

    def _whole_lines(self) -> Iterator[bytes]:
        rest: list[bytes] = []
        for data in self._read(self.block):
            cut = data.rfind(b"\n") + 1
            if cut:
                yield b"".join([*rest, data[:cut]])
                rest = []
            rest.append(data[cut:])
            if sum(map(len, rest)) > LONGEST_LINE:
                raise LongLineError(self.path, LONGEST_LINE)
        if last := b"".join(rest):
            yield last + b"\n"

    def _read(self, size: int) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                while data := file.read(size):
                    yield data
        except OSError as error:
            raise UnreadableError(self.path, error.strerror or "cannot be read") from None


def _line_count(records: list[bytes]) -> int:
    return len(records) + sum(record.count(b"\0n") for record in records if b'"' in record)
