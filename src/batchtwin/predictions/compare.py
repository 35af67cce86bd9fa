"""Compare two prediction files, whatever the order of their lines, in bounded memory.

1. Both files are divided into buckets in a temporary SQLite database. Rows with one name are in the same bucket.
2. Each bucket is read into memory. Equal rows cancel out; the two rows that remain of a name are compared.
3. Rows without a name, and more than two of a name, are sorted by SQLite; near ones are paired.
"""

from __future__ import annotations

import marshal
import math
import sqlite3
from bisect import insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

from batchtwin.errors import UsageError
from batchtwin.predictions.comparison import Comparison, Difference, Kind
from batchtwin.predictions.file import CompareError, Layout, head, layout_of, locate, notes, records, same_bytes, split

__all__ = ["CompareError", "Comparison", "Difference", "Layout", "compare"]

# Bytes of a bucket, and of a bucket that is held in memory.
BUCKET, LARGEST_BUCKET = 1 << 20, 1 << 23
# Rows that wait for a partner at most.
WINDOW = 256
# Level 0 to 3: rows that are sorted by the float of this number; ALONE: rows of a name without near partner.
LEVELS = ALONE = 4
SCHEMA = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096; PRAGMA temp_store = FILE; BEGIN;
    CREATE TABLE part (bucket, side, records); CREATE INDEX part_bucket ON part (bucket);
    CREATE TABLE row (level, key, texts, near, f0, f1, f2, f3, record, net)"""
INSERT = "INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
NEAR = """
    SELECT record, SUM(net), f{0}, f{1} IS NULL, key, texts, near FROM row WHERE level = {0}
    GROUP BY key, texts, near, f{0}, f{1}, f{2}, f{3}, record HAVING SUM(net) <> 0
    ORDER BY key, texts, near, f{0}, f{1}, f{2}, f{3}, record"""
# A row's place is the number of rows before it on its side. Rows of both sides at one place are shown as a pair.
PLACED = """
    SELECT record, net, key FROM (
        SELECT record, net, key, SUM(ABS(net)) OVER (
            PARTITION BY key, net > 0 ORDER BY texts, f0, f1, f2, f3, record) - ABS(net) AS place
        FROM row WHERE level = ?) ORDER BY key, place"""


def compare(left: Path, right: Path, rtol: float = 1e-9, atol: float = 0.0, most: int = 10) -> Comparison:
    """Compare two prediction files, or the only ones of two jobs' output folders, whatever the order of their lines.

    Rows are paired by file and row, or by file, where both have the lines of the MLflow driver; else line by line.
    Floats are the same within `rtol` (of the larger one) or `atol`; everything else, whole numbers too, to the byte.
    The first `most` differences are listed. Memory does not grow with the files.

    Raises:
        BatchTwinError: a file is missing, is not made of lines, or cannot be read, or an option makes no sense.
    """
    if not 0 <= rtol < 1:
        raise UsageError(f"--rtol {rtol:g}: expected a number from 0 to below 1")
    if not 0 <= atol < math.inf:
        raise UsageError(f"--atol {atol:g}: expected a number from 0")
    if most < 0:
        raise UsageError(f"--most {most}: expected a count from 0")
    close = partial(math.isclose, rel_tol=rtol, abs_tol=atol)
    try:
        search = _Search((locate(left), locate(right)), close, most)
        if same := same_bytes(*search.paths):
            rows = [sum(map(len, records(search.paths[0], search.layout)))] * 2
        else:
            with closing(sqlite3.connect("", isolation_level=None)) as database:
                rows = search.run(database)
        return Comparison(
            left=search.paths[0],
            right=search.paths[1],
            layout=search.layout,
            rtol=rtol,
            atol=atol,
            same_bytes=same,
            left_rows=rows[0],
            right_rows=rows[1],
            only_left=search.counts["only left"],
            only_right=search.counts["only right"],
            differing=search.counts["differs"],
            differences=tuple(search.differences()),
            notes=tuple(notes(search.heads, search.layout, search.malformed)),
        )
    except OSError as error:
        why = error.strerror or "cannot be read"
        raise CompareError(f"{error.filename}: {why}; give a predictions file or the output folder of a job") from None
    except sqlite3.OperationalError as error:
        raise CompareError(
            f"temporary folder: {error}; a comparison needs about as much temporary space as the two files have: "
            "set TMPDIR to a folder that has it"
        ) from None


class _Row(NamedTuple):
    """A record, `net` times more on the left than on the right; `value` is the float that it is sorted by."""

    record: bytes
    net: int
    value: float | None = None
    is_last: bool = True
    group: tuple[Any, ...] = ()

    @classmethod
    def load(cls, columns: tuple[Any, ...]) -> _Row:
        record, net, value, is_last, *group = columns
        return cls(record, net, value, is_last, tuple(group))


class _Search:
    """Two files being compared. `first`: the first differences as key (or nothing), text, kind, left, right, times."""

    def __init__(self, paths: tuple[Path, Path], close: Callable[[float, float], bool], most: int) -> None:
        self.paths, self.close, self.most = paths, close, most
        self.heads = (head(paths[0]), head(paths[1]))
        layouts = {layout_of(lines) for lines in self.heads} - {None}
        self.layout = (layouts.pop() if len(layouts) == 1 else None) or Layout.LINES
        self.bucket_key = self.layout.bucket_key
        self.counts: Counter[Kind] = Counter()
        self.malformed: Counter[int] = Counter()
        self.first: list[tuple[Any, ...]] = []

    def run(self, database: sqlite3.Connection) -> list[int]:
        """Compare; return the number of rows by side."""
        database.executescript(SCHEMA)
        count = 1 + max(path.stat().st_size for path in self.paths) // BUCKET
        rows = [self._divide(database, side, count) for side in (0, 1)]
        buckets = (database.execute("SELECT side, records FROM part WHERE bucket = ?", [n]) for n in range(count))
        database.executemany(INSERT, chain.from_iterable(map(self._cancel, buckets)))
        for level in range(LEVELS):
            order = [(level + number) % LEVELS for number in range(LEVELS)]
            near = map(_Row.load, database.execute(NEAR.format(*order)))
            database.executemany(INSERT, self._match(near, level))
        alone = (_Row(record, net, group=(key,)) for record, net, key in database.execute(PLACED, [ALONE]))
        for _, named in groupby(alone, key=lambda row: row.group):
            self._add_placed(named)
        return rows

    def _divide(self, database: sqlite3.Connection, side: int, count: int) -> int:
        """Write the records of a file into `count` buckets; return how many there are."""
        total = 0
        for block in records(self.paths[side], self.layout):
            parts: list[list[bytes]] = [[] for _ in range(count)]
            for number, record in zip(map(hash, map(self.bucket_key, block)), block, strict=True):
                parts[number % count].append(record)
            rows = ((bucket, side, marshal.dumps(part)) for bucket, part in enumerate(parts) if part)
            database.executemany("INSERT INTO part VALUES (?, ?, ?)", rows)
            total += len(block)
        return total

    def _cancel(self, parts: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        """Drop what both sides of a bucket have; compare the two rows of a name, and yield those that have a choice."""
        net: Counter[bytes] = Counter()
        size, is_whole = 0, True
        for side, data in parts:
            (net.subtract if side else net.update)(marshal.loads(data))  # noqa: S302 - this process wrote it
            size += len(data)
            if size > LARGEST_BUCKET:
                yield from (self._columns(_Row(*item)) for item in net.items())
                net, size, is_whole = Counter(), 0, False
        named: defaultdict[bytes, list[_Row]] = defaultdict(list)
        for record, times in net.items():
            if times:
                named[self.bucket_key(record)].append(_Row(record, times))
        for rows in named.values():
            left, right = (rows[0], rows[-1]) if rows[0].net > 0 else (rows[-1], rows[0])
            keys = self.layout.key(left.record), self.layout.key(right.record)
            is_pair = len(rows) == 2 and left.net == -right.net and keys[0] == keys[1]
            if not is_whole or not keys[0] or (len(rows) > 1 and not is_pair):
                yield from map(self._columns, rows)
            elif not is_pair:
                self._add_alone(left)
            elif not self._is_same(left.record, right.record):
                self._add(left.record, right.record, left.net)

    def _columns(self, row: _Row, level: int = 0, near: int = 0) -> tuple[Any, ...]:
        """Return what the table `row` holds."""
        key, parts = self.layout.key(row.record), split(row.record)
        floats = [*map(float, parts[1 : 2 * LEVELS : 2]), *[None] * LEVELS][:LEVELS]
        return level, key and b"%d,%b" % key[::-1], b"\0".join(parts[::2]), near, *floats, row.record, row.net

    def _is_same(self, left: bytes, right: bytes) -> bool:
        one, other = split(left), split(right)
        return one[::2] == other[::2] and all(map(self.close, map(float, one[1::2]), map(float, other[1::2])))

    def _match(self, rows: Iterator[_Row], level: int) -> Iterator[tuple[Any, ...]]:
        """Cut sorted rows where the float is too far from the next; pair rows that are left together, or yield them.

        What is yielded goes to the next level or, if it has a name and no partner, to the rows that stand alone.
        """
        for number, (_, near) in enumerate(groupby(rows, key=self._cutter())):
            first = list(islice(near, 3))
            if len(first) == 3 and level + 1 < LEVELS and not first[0].is_last:
                yield from (self._columns(row, level + 1, number) for row in chain(first, near))
                continue
            for row in self._unpaired(chain(first, near)):
                if self.layout.key(row.record):
                    yield self._columns(row, ALONE)
                else:
                    self._add_alone(row)

    def _cutter(self) -> Callable[[_Row], int]:
        """Return a function that numbers sorted rows, with the same number for those that are near the one before."""
        number, last = 0, _Row(b"", 0)

        def cut(row: _Row) -> int:
            nonlocal number, last
            number += row.group != last.group or not self._is_near(row, last)
            last = row
            return number

        return cut

    def _is_near(self, row: _Row, other: _Row) -> bool:
        return row.value is None or other.value is None or self.close(row.value, other.value)

    def _unpaired(self, rows: Iterator[_Row]) -> Iterator[_Row]:
        """Pair sorted rows, first come first served; yield rows, or how many of them, that have no partner."""
        waiting: tuple[deque[_Row], deque[_Row]] = (deque(), deque())
        for row in rows:
            same_side, others = waiting if row.net > 0 else waiting[::-1]
            while others and not self._is_near(others[0], row):
                yield others.popleft()
            for _ in range(len(others)):
                other = others.popleft()
                if row.net and self._is_same(other.record, row.record):
                    row, other = _offset(row, other)
                if other.net:
                    others.append(other)
            if row.net:
                same_side.append(row)
            if len(same_side) > WINDOW:
                yield same_side.popleft()
        yield from chain(*waiting)

    def _add_placed(self, rows: Iterator[_Row]) -> None:
        """Add the rows of one name that have no near partner: in pairs as far as there are as many on both sides."""
        waiting = _Row(b"", 0)
        for row in rows:
            if waiting.net * row.net < 0:
                left, right = (waiting, row) if row.net < 0 else (row, waiting)
                self._add(left.record, right.record, min(left.net, -right.net))
                waiting = max(_offset(row, waiting), key=lambda rest: abs(rest.net))
            else:
                self._add_alone(waiting)
                waiting = row
        self._add_alone(waiting)

    def _add_alone(self, row: _Row) -> None:
        if row.net:
            self._add(row.record if row.net > 0 else None, row.record if row.net < 0 else None, abs(row.net))

    def _add(self, left: bytes | None, right: bytes | None, times: int) -> None:
        """Count a difference, and keep it if it is among the first ones."""
        record = left if left is not None else right or b""
        key = self.layout.key(record)
        kind: Kind = "only right" if left is None else "only left" if right is None else "differs"
        self.counts[kind] += times
        self.malformed[left is None] += times * (key is None)
        insort(self.first, (key or (), record, kind, left, right, times))
        del self.first[self.most :]

    def differences(self) -> Iterator[Difference]:
        """Look up in both files where the first differences stand, and how often."""
        wanted = {record for found in self.first for record in found[3:5] if record is not None}
        bucket_keys = set(map(self.bucket_key, wanted))
        lines: tuple[dict[bytes, int], ...] = ({}, {})
        copies: tuple[Counter[Any], ...] = (Counter(), Counter())
        for side, path in enumerate(self.paths):
            number = 1
            for record in chain.from_iterable(records(path, self.layout) if wanted else ()):
                if self.bucket_key(record) in bucket_keys:
                    copies[side][self.layout.key(record)] += 1
                    if record in wanted:
                        lines[side].setdefault(record, number)
                number += 1 + record.count(b"\n")
        for key, _, kind, left, right, times in self.first:
            name, row = key or (None, -1)
            places = lines[0].get(left), lines[1].get(right)
            stands = (copies[0][key], copies[1][key]) if key else (None, None)
            texts = _text(left), _text(right), _text(name)
            yield Difference(kind, *texts, None if row < 0 else row, times, *places, *stands)


def _text(record: bytes | None) -> str | None:
    return None if record is None else record.decode(errors="backslashreplace")


def _offset(row: _Row, other: _Row) -> tuple[_Row, _Row]:
    """Take from rows of different sides as many as both have."""
    common = min(abs(row.net), abs(other.net)) * (1 if row.net > 0 else -1)
    return row._replace(net=row.net - common), other._replace(net=other.net + common)
