"""Compare two prediction files, whatever the order of their lines, in bounded memory.

1. Both files are divided into buckets in a temporary SQLite database. Rows with the same key are in the same bucket.
2. Each bucket is read into memory. Equal rows cancel out; the two rows that remain of a key are compared.
3. Rows without a key, and more than two of a key, are sorted by SQLite so that near rows are neighbours, and paired.
4. Rows of a key that have no near partner are paired in their order: each pair is a difference. So are rows without a
   key, if both files have as many rows: by their place, where that tells no more differences.
"""

from __future__ import annotations

import marshal
import math
import sqlite3
from bisect import insort
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby, repeat, starmap, zip_longest
from pathlib import Path
from typing import Any

from batchtwin.errors import UsageError
from batchtwin.predictions.comparison import Comparison, Difference, Kind
from batchtwin.predictions.file import CompareError, LineLayout, head, line_layout, locate, notes, records, same_bytes
from batchtwin.predictions.floats import Tolerance, split_floats

# Bytes of a bucket, and of one that is held in memory; rows that wait for a partner.
BUCKET, LARGEST_BUCKET, WINDOW = 1 << 20, 1 << 23, 512
SCHEMA = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096; PRAGMA temp_store = FILE; BEGIN;
    CREATE TABLE part (bucket, side, records); CREATE INDEX part_bucket ON part (bucket);
    CREATE TABLE row (key, texts, position, record, net);
    CREATE TABLE alone (key, record, net); CREATE INDEX alone_key ON alone (key)"""
SORTED = """
    SELECT key, texts, position, record, SUM(net) FROM row GROUP BY key, texts, position, record HAVING SUM(net) <> 0
    ORDER BY key, texts, position, record"""
CHANGED = "SELECT TOTAL(net) FROM alone WHERE net > 0"
ALONE = "SELECT record, ABS(net) FROM alone WHERE key = ? AND (net > 0) = ? ORDER BY rowid"


def compare(
    left: Path, right: Path, rtol: float = 1e-9, atol: float = 0.0, most: int = 10, *, in_order: bool = False
) -> Comparison:
    """Compare two prediction files, or the only ones of two jobs' output folders, whatever the order of their lines.

    Rows are paired by file and row, or by file, where both have the lines of the MLflow driver; else line by line;
    lines without an equal one are then paired, if both files have as many. `in_order`: such files have one order.
    Floats are the same within `rtol` (of the larger one) or `atol`; everything else, whole numbers too, to the byte.
    The first `most` differences are listed. Memory does not grow with the files.

    Raises:
        BatchTwinError: a file is missing, is not made of lines, or cannot be read, or an option makes no sense.
    """
    tolerance = Tolerance(rtol, atol)
    if most < 0:
        raise UsageError(f"--most {most}: expected a count from 0")
    try:
        return _Search((locate(left), locate(right)), tolerance, most, in_order).run()
    except OSError as error:
        text = f"{error.filename}: {error.strerror or 'cannot be read'}"
        raise CompareError(f"{text}; give a predictions file or the output folder of a job") from None
    except sqlite3.OperationalError as error:
        raise CompareError(
            f"temporary folder: {error}; a comparison needs about as much temporary space as the two files have: "
            "set TMPDIR to a folder that has it"
        ) from None


@dataclass(slots=True)
class _Row:
    """A record without a partner so far: `net` times more on the left than on the right."""

    record: bytes
    net: int
    position: float
    floats: list[float]


class _Search:
    """Two files being compared. `first`: the first differences as key (or nothing), text, kind, left, right, times;
    `placed`: those of rows that are paired by their place.
    """

    def __init__(self, paths: tuple[Path, Path], tolerance: Tolerance, most: int, in_order: bool) -> None:
        self.paths, self.tolerance, self.most, self.in_order = paths, tolerance, most, in_order
        self.heads = (head(paths[0]), head(paths[1]))
        layouts = {line_layout(lines) for lines in self.heads} - {None}
        self.layout = (layouts.pop() if len(layouts) == 1 else None) or LineLayout.LINES
        self.bucket_key = self.layout.bucket_key
        self.counts: Counter[Kind] = Counter()
        self.malformed: Counter[int] = Counter()
        self.first: list[tuple[Any, ...]] = []
        self.placed: list[Difference] = []

    def run(self) -> Comparison:
        with closing(sqlite3.connect("", isolation_level=None)) as database:
            is_same = same_bytes(*self.paths)
            rows = (sum(map(len, records(self.paths[0], self.layout))),) * 2 if is_same else self._compare(database)
        near = self.tolerance
        counts = self.counts["only left"], self.counts["only right"], self.counts["differs"]
        texts = tuple(self.placed or self._differences()), tuple(notes(self.heads, self.layout, self.malformed))
        return Comparison(*self.paths, self.layout, near.rtol, near.atol, is_same, *rows, *counts, *texts)

    def _compare(self, database: sqlite3.Connection) -> tuple[int, int]:
        """Count the differences; return the number of rows by side."""
        if self.in_order and not self.layout.keyed and (differing := self._by_place(math.inf)) is not None:
            self.counts["differs"] = differing
            return (sum(map(len, records(self.paths[0], self.layout))),) * 2
        self.placed = []
        database.executescript(SCHEMA)
        count = 1 + max(path.stat().st_size for path in self.paths) // BUCKET
        rows = self._divide(database, 0, count), self._divide(database, 1, count)
        buckets = (database.execute("SELECT side, records FROM part WHERE bucket = ?", [n]) for n in range(count))
        database.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?)", chain.from_iterable(map(self._cancel, buckets)))
        for (key, _), group in groupby(database.execute(SORTED), key=lambda row: row[:2]):
            for row in self._unpaired(group):
                if key is None and not self._has_pairs(rows):
                    self._add_alone(row.record, row.net)
                elif row.net:
                    database.execute("INSERT INTO alone VALUES (?, ?, ?)", [key or b"", row.record, row.net])
        if self._has_pairs(rows):
            [changed] = database.execute(CHANGED).fetchone()
            if (differing := self._by_place(changed)) is not None:
                self.counts["differs"] = differing
                return rows
            self.placed = []
        for (key,) in database.execute("SELECT DISTINCT key FROM alone"):
            sides = (starmap(repeat, database.execute(ALONE, [key, is_left])) for is_left in (True, False))
            for (left, right), copies in groupby(zip_longest(*map(chain.from_iterable, sides))):
                self._add(left, right, sum(1 for _ in copies))
        return rows

    def _has_pairs(self, rows: tuple[int, int]) -> bool:
        """Whether rows without a partner count as changed: they have no names, and both sides have as many."""
        return not self.layout.keyed and rows[0] == rows[1]

    def _by_place(self, limit: float) -> int | None:
        """Pair the rows at the same places; return how many differ; None if a file has more rows, or more differ."""
        count = 0
        for left, right in zip_longest(*map(self._lines, self.paths)):
            if left is None or right is None:
                return None
            if left[1] == right[1] or self.tolerance.is_same(left[1], right[1]):
                continue
            count += 1
            if count > limit:
                return None
            if count <= self.most:
                texts = _text(left[1]), _text(right[1])
                self.placed.append(Difference("differs", *texts, left_line=left[0], right_line=right[0]))
        return count

    def _lines(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Yield each record with the number of its first line."""
        number = 1
        for record in chain.from_iterable(records(path, self.layout)):
            yield number, record
            number += 1 + record.count(b"\n")

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
        """Drop what both sides of a bucket have; compare the two rows of a key; yield those that have a choice."""
        net: Counter[bytes] = Counter()
        size, is_whole = 0, True
        for side, data in parts:
            (net.subtract if side else net.update)(marshal.loads(data))  # noqa: S302 - this process wrote it
            size += len(data)
            if size > LARGEST_BUCKET:
                yield from map(self._columns, net, net.values())
                net, size, is_whole = Counter(), 0, False
        rows_of: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for record, times in net.items():
            if times:
                rows_of[self.bucket_key(record)].append(record)
        for rows in rows_of.values():
            key = self.layout.key(rows[0]) if is_whole and len(rows) <= 2 else None
            left, right = (rows[0], rows[-1]) if net[rows[0]] > 0 else (rows[-1], rows[0])
            if key and len(rows) == 1:
                self._add_alone(rows[0], net[rows[0]])
            elif not key or net[left] != -net[right] or key != self.layout.key(rows[1]):
                yield from (self._columns(record, net[record]) for record in rows)
            elif not self.tolerance.is_same(left, right):
                self._add(left, right, net[left])

    def _columns(self, record: bytes, net: int) -> tuple[Any, ...]:
        """Return what the table `row` holds."""
        key, (texts, floats) = self.layout.key(record), split_floats(record)
        return key and b"%d,%b" % key[::-1], b"\0".join(texts), self.tolerance.position(floats), record, net

    def _unpaired(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[_Row]:
        """Pair near rows of one key with the same texts, in order; yield those without a partner."""
        waiting: deque[_Row] = deque()
        for *_, position, record, net in rows:
            row = _Row(record, net, position, split_floats(record)[1])
            while waiting and (len(waiting) > WINDOW or waiting[0].position < position - self.tolerance.reach):
                yield waiting.popleft()
            for other in waiting:
                if row.net * other.net < 0 and self.tolerance.is_near(row.floats, other.floats):
                    rest = row.net + other.net
                    row.net, other.net = (rest, 0) if abs(row.net) > abs(other.net) else (0, rest)
            waiting.append(row)
        yield from waiting

    def _add_alone(self, record: bytes, net: int) -> None:
        if net:
            self._add(record if net > 0 else None, record if net < 0 else None, abs(net))

    def _add(self, left: bytes | None, right: bytes | None, times: int) -> None:
        """Count a difference, and keep it if it is among the first ones."""
        record = left if left is not None else right or b""
        key = self.layout.key(record)
        kind: Kind = "only right" if left is None else "only left" if right is None else "differs"
        self.counts[kind] += times
        self.malformed[left is None] += times * (key is None)
        insort(self.first, (key or (), record, kind, left, right, times))
        del self.first[self.most :]

    def _differences(self) -> Iterator[Difference]:
        """Find in both files the lines of the first differences, and how often they occur."""
        sought = {record for difference in self.first for record in difference[3:5] if record is not None}
        bucket_keys = set(map(self.bucket_key, sought))
        lines: tuple[dict[bytes, int], ...] = ({}, {})
        copies: tuple[Counter[Any], ...] = (Counter(), Counter())
        for side, path in enumerate(self.paths):
            for number, record in self._lines(path) if sought else ():
                if self.bucket_key(record) in bucket_keys:
                    copies[side][self.layout.key(record)] += 1
                    if record in sought:
                        lines[side].setdefault(record, number)
        for key, _, kind, left, right, times in self.first:
            name, row = key or (None, -1)
            numbers = lines[0].get(left), lines[1].get(right)
            counts = (copies[0][key], copies[1][key]) if key else (None, None)
            texts = _text(left), _text(right), _text(name)
            yield Difference(kind, *texts, None if row < 0 else row, times, *numbers, *counts)


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="backslashreplace")
