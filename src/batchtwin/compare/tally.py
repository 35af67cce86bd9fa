"""Counts of what was found, and the first of it."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from batchtwin.compare.comparison import Difference, Kind
from batchtwin.compare.grammar import shown
from batchtwin.compare.layout import Key
from batchtwin.compare.match import LEFT, Row


class Found(NamedTuple):
    """A difference. Differences sort by their fields; those without a key come first, for they tell most."""

    keyed: bool
    name: bytes
    row: int
    text: bytes
    kind: Kind
    left: bytes | None
    right: bytes | None
    times: int

    @classmethod
    def only(cls, key: Key | None, row: Row) -> Found:
        """Return what one side lacks."""
        name, number = key or (b"", -1)
        if row.side == LEFT:
            return cls(key is not None, name, number, row.record, "only left", row.record, None, row.times)
        return cls(key is not None, name, number, row.record, "only right", None, row.record, row.times)

    @classmethod
    def pair(cls, key: Key, left: bytes, right: bytes, times: int) -> Found:
        """Return what differs."""
        return cls(True, key.name, key.row, left, "differs", left, right, times)

    @property
    def key(self) -> Key:
        """The name of its row."""
        return Key(self.name, self.row)

    def difference(self, lines: tuple[dict[bytes, int], ...], copies: tuple[int, int] | None) -> Difference:
        """Return it for people. `lines`: by side, the number of the first such line; `copies` of the key by side."""
        sides = (self.left, self.right)
        texts = [None if record is None else shown(record) for record in sides]
        numbers = [None if record is None else found.get(record) for found, record in zip(lines, sides, strict=True)]
        return Difference(
            kind=self.kind,
            left=texts[0],
            right=texts[1],
            file=self.name.decode(errors="backslashreplace") if self.keyed else None,
            row=self.row if self.row >= 0 else None,
            times=self.times,
            left_line=numbers[0],
            right_line=numbers[1],
            left_copies=copies[0] if copies else None,
            right_copies=copies[1] if copies else None,
        )


@dataclass
class Tally:
    """All differences counted, the first `most` kept. `malformed` counts, by side, rows without the key they need."""

    most: int
    counts: Counter[Kind] = field(default_factory=Counter)
    malformed: Counter[int] = field(default_factory=Counter)
    first: list[Found] = field(default_factory=list)
    copies: dict[Key, tuple[int, int]] = field(default_factory=dict)

    def add(self, found: Found) -> bool:
        """Count a difference; keep it if it is among the first, and tell so."""
        self.counts[found.kind] += found.times
        if len(self.first) == self.most and (not self.most or found > self.first[-1]):
            return False
        insort(self.first, found)
        del self.first[self.most :]
        return True

    def wanted(self) -> tuple[set[bytes], set[bytes]]:
        """Return the records of the first differences, by side."""
        sides = ([found.left for found in self.first], [found.right for found in self.first])
        left, right = ({record for record in side if record is not None} for side in sides)
        return left, right

    def differences(self, lines: tuple[dict[bytes, int], ...]) -> tuple[Difference, ...]:
        """Return the first differences. `lines`: by side, the number of the first such line."""
        return tuple(found.difference(lines, self.copies.get(found.key)) for found in self.first)
