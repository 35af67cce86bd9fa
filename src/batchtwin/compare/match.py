"""Rows of two sides -> those that no row of the other side is close to.

Rows with the same text around their floats are sorted by one float after the other and cut where the next
float is too far away, until what remains together is small; there, each row takes the first one that is close.
The outcome depends neither on the order of the rows nor on which side is which. Where tolerance is so wide that
rows have many partners, it may miss a way to pair them all; it never pairs what is not close.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice
from typing import NamedTuple

from batchtwin.compare.numbers import Floats, Texts, Tolerance, texts_and_floats
from batchtwin.compare.spill import Sorter

LEFT, RIGHT = 0, 1
# Floats by which rows are sorted and cut; the others are only compared.
MOST_SORTED = 4
# Rows without a partner that are remembered while one is looked for.
WINDOW = 256


class Row(NamedTuple):
    """A record, `times` on one side."""

    texts: Texts
    floats: Floats
    record: bytes
    side: int
    times: int

    @classmethod
    def of(cls, record: bytes, side: int, times: int) -> Row:
        """Read a record's floats."""
        texts, floats = texts_and_floats(record)
        return cls(texts, floats, record, side, times)


def is_pair(one: Row, other: Row) -> bool:
    """Tell whether rows stand equally often, one on each side."""
    return one.times == other.times and one.side != other.side


def unmatched(rows: Iterable[Row], tolerance: Tolerance, sorter: Sorter) -> Iterator[Row]:
    """Give the rows, or how many of them, that have no partner on the other side."""
    ordered = sorter.sort(rows, lambda row: row[:3], Row._make)
    for texts, same in groupby(ordered, key=lambda row: row.texts):
        yield from _cut(same, 0, min(len(texts) - 1, MOST_SORTED), tolerance, sorter)


def _cut(ordered: Iterator[Row], at: int, end: int, tolerance: Tolerance, sorter: Sorter) -> Iterator[Row]:
    """Match rows of the same texts, whose floats before `at` are near, in order of their floats from `at`."""
    if at == end:
        yield from _pair(ordered, at - 1, tolerance)
        return
    for _, near in groupby(ordered, key=_part(at, tolerance)):
        yield from _near(near, at, end, tolerance, sorter)


def _near(rows: Iterator[Row], at: int, end: int, tolerance: Tolerance, sorter: Sorter) -> Iterator[Row]:
    """Match rows whose floats up to `at` are near."""
    first = list(islice(rows, 3))
    rows = chain(first, rows)
    if len(first) == 1:
        yield from first
    elif len(first) == 2 and is_pair(*first):
        yield from () if tolerance.all_close(first[0].floats, first[1].floats) else first
    elif len(first) == 2 or at + 1 == end:
        yield from _pair(rows, at, tolerance)
    else:
        again = sorter.sort(rows, lambda row: (row.floats[at + 1 :], row.floats, row.record), Row._make)
        yield from _cut(again, at + 1, end, tolerance, sorter)


def _part(at: int, tolerance: Tolerance) -> Callable[[Row], int]:
    """Number the parts between which sorted floats leave a gap."""
    part, last = 0, None

    def number(row: Row) -> int:
        nonlocal part, last
        value = row.floats[at]
        part += last is not None and not tolerance.close(last, value)
        last = value
        return part

    return number


def _pair(rows: Iterable[Row], at: int, tolerance: Tolerance) -> Iterator[Row]:
    """Pair rows, sorted by the float `at` if not negative, first come first served."""
    waiting: tuple[deque[Row], deque[Row]] = (deque(), deque())
    for row in rows:
        others = waiting[1 - row.side]
        while others and at >= 0 and not tolerance.close(others[0].floats[at], row.floats[at]):
            yield others.popleft()
        left = _take(row, others, tolerance)
        if left:
            mine = waiting[row.side]
            mine.append(row._replace(times=left))
            if len(mine) > WINDOW:
                yield mine.popleft()
    yield from chain(*waiting)


def _take(row: Row, others: deque[Row], tolerance: Tolerance) -> int:
    """Use up others that are close; return how many of the row are left."""
    left = row.times
    for _ in range(len(others)):
        other = others.popleft()
        if left and tolerance.all_close(other.floats, row.floats):
            used = min(left, other.times)
            left -= used
            other = other._replace(times=other.times - used)
        if other.times:
            others.append(other)
    return left
