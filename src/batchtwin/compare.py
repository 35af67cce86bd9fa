"""Compare two prediction files, whatever the order of their lines, in bounded memory.

1. Both files are divided into buckets in a temporary SQLite database. Rows with one name are in the same bucket.
2. Each bucket is read into memory. Equal rows cancel out; the two rows that remain of a name are compared.
3. Rows without a name, and more than two of a name, are sorted by SQLite; near ones are paired.
"""

from __future__ import annotations

import marshal
import math
import os
import re
import sqlite3
import stat
from bisect import insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import Enum
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

from batchtwin.errors import BatchTwinError, UsageError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
INNER = "named-outputs/score"
MAGIC = {b"PAR1": "a Parquet file", b"\x1f\x8b": "a gzip file", b"PK\x03\x04": "a zip file"}
# Bytes: to recognise a file by, read at once, of the longest line, of a bucket, of a bucket held in memory.
HEAD, BLOCK, LONGEST_LINE, BUCKET, LARGEST_BUCKET = 1 << 16, 1 << 22, 1 << 26, 1 << 20, 1 << 23
# Lines of a quoted field (more: a stray quote); rows that wait for a partner; characters shown of a row.
MOST_LINES, WINDOW, WIDTH = 1000, 256, 200
# Whole numbers, words with digits and versions are text: the same to the byte or different.
FLOAT = re.compile(rb"(?<![\w.])([-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?)(?![\w.])")
NAMED_FLOAT = re.compile(rb"\b(?:NaN|Infinity)\b")
FILE_NAME = re.compile(rb".*\.[A-Za-z][A-Za-z0-9]{0,9}", re.DOTALL)
IMAGE_NAME = re.compile(rb".*\.(png|jpe?g|tiff|bmp|gif)", re.DOTALL | re.IGNORECASE)
ROW_NUMBER = re.compile(rb"0|[1-9]\d{0,17}")
_FIELD = {separator: rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^"%b]*+)' % separator for separator in (b",", b" ")}
FIELD = {separator: re.compile(rb"(?:\A|%b)(%b)" % (separator, field)) for separator, field in _FIELD.items()}
RECORD = {separator: re.compile(rb"%b(?:%b%b)*+" % (field, separator, field)) for separator, field in _FIELD.items()}
# Levels 0 to 3: rows that are sorted by this float; ALONE: rows of a name that have no near partner.
LEVELS, ALONE = 4, 4
SCHEMA = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096; PRAGMA temp_store = FILE; BEGIN;
    CREATE TABLE part (bucket INTEGER, side INTEGER, records BLOB); CREATE INDEX part_bucket ON part (bucket);
    CREATE TABLE row (level, key, texts, near, f0, f1, f2, f3, record, net)"""
NEAR = """
    SELECT key, texts, near, record, SUM(net) FROM row WHERE level = {0}
    GROUP BY key, texts, near, f{0}, f{1}, f{2}, f{3}, record HAVING SUM(net) <> 0
    ORDER BY key, texts, near, f{0}, f{1}, f{2}, f{3}, record"""
# A row's place is the number of rows before it on its side; rows of both sides at one place are shown as a pair.
PLACED = f"""
    SELECT key, record, net FROM (
        SELECT key, record, net, SUM(ABS(net)) OVER (
            PARTITION BY key, net > 0 ORDER BY texts, f0, f1, f2, f3, record) - ABS(net) AS place
        FROM row WHERE level = {ALONE}) ORDER BY key, place"""  # noqa: S608
Key = tuple[bytes, int]


class CompareError(BatchTwinError):
    """Two files cannot be compared: one is missing or not made of lines, or temporary files cannot be written."""


class Layout(Enum):
    """How the lines of a batch job's output are laid out. The value is the name for people."""

    ROWS = "row,prediction,file_name"
    IMAGES = "prediction,file_name"
    FRAME = "fields separated by spaces"
    LINES = "lines of text"

    @property
    def by(self) -> str:
        """What rows are paired by."""
        return {"ROWS": "by file and row", "IMAGES": "by file"}.get(self.name, "line by line")

    def key(self, record: bytes) -> Key | None:
        """Return the file and the row, -1 where a file is one row; None if the record has no name or is malformed."""
        fields = _fields(record, b",") if self in KEYED else []
        if self is Layout.ROWS and len(fields) == 3 and fields[2] and ROW_NUMBER.fullmatch(fields[0]):
            return fields[2], int(fields[0])
        return (fields[1], -1) if self is Layout.IMAGES and len(fields) == 2 and fields[1] else None

    def bucket_key(self, record: bytes) -> bytes:
        """Return, quickly, bytes that are the same for all records with one key."""
        last = record[record.rfind(b",") :] if self in KEYED else record
        return record[: record.find(b",")] + last if self is Layout.ROWS else last


KEYED = {Layout.ROWS: FILE_NAME, Layout.IMAGES: IMAGE_NAME}
# What separates fields that may be quoted; elsewhere a quote is a character like any other.
SEPARATOR = {Layout.ROWS: b",", Layout.IMAGES: b",", Layout.FRAME: b" "}


@dataclass(frozen=True)
class Difference:
    """A row that differs, or that one side lacks; `times` where the same line stands so often without a partner.

    `left` and `right` are the lines, `left_line` and `right_line` the numbers, from 1, of the first such lines.
    `file` and `row` where rows have them; `left_copies` and `right_copies` say how often these stand there.
    """

    kind: str
    left: str | None
    right: str | None
    file: str | None = None
    row: int | None = None
    times: int = 1
    left_line: int | None = None
    right_line: int | None = None
    left_copies: int | None = None
    right_copies: int | None = None

    def lines(self) -> list[str]:
        """Return it for people."""
        sides = (("left ", self.left_line, self.left), ("right", self.right_line, self.right))
        texts = [(side, f"line {line}: {_printable(text)}") for side, line, text in sides if text is not None]
        often = f", {self.times} times" if self.times > 1 else ""
        if self.file is None:
            return [f"{self.kind}{often}, {text}" for _, text in texts]
        copies = [self.left_copies or 0, self.right_copies or 0]
        left, right = ("once" if count == 1 else f"{count} times" for count in copies)
        stands = f" (stands {left} left, {right} right)" if max(copies) > 1 else ""
        name = _printable(self.file) + ("" if self.row is None else f" row {self.row}")
        return [f"{name}, {self.kind}{often}{stands}", *(f"  {side} {text}" for side, text in texts)]


@dataclass(frozen=True)
class Comparison:
    """The outcome; counts are of rows. `differences` are the first ones, by file and row, else by text."""

    left: Path
    right: Path
    layout: Layout
    rtol: float
    atol: float
    same_bytes: bool
    left_rows: int
    right_rows: int
    only_left: int
    only_right: int
    differing: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether no row differs."""
        return not (self.only_left or self.only_right or self.differing)

    @property
    def exit_code(self) -> int:
        """0 if equal, else 1."""
        return 0 if self.equal else 1

    def text(self) -> str:
        """Return the outcome for people."""
        if self.same_bytes:
            return f"Equal, byte for byte: {self.left_rows} rows"
        how = f"{self.layout.by}, floats within rtol {self.rtol:g} and atol {self.atol:g}"
        if self.equal:
            return "\n".join([f"Equal: {self.left_rows} rows, {how}", *self.notes])
        counts = (
            f"Different, {how}\n"
            f"  left   {self.left_rows:>12} rows  {self.left}\n"
            f"  right  {self.right_rows:>12} rows  {self.right}\n"
            f"  differ {self.differing:>12}\n  only left {self.only_left:>9}\n  only right {self.only_right:>8}"
        )
        lines = [line for difference in self.differences for line in difference.lines()]
        shown = sum(difference.times for difference in self.differences)
        more = self.only_left + self.only_right + self.differing - shown
        return "\n".join([counts, *self.notes, *lines, *([f"and {more} more: --most N shows N"] if more else [])])

    def data(self) -> dict[str, Any]:
        """Return the outcome for programs: what JSON can hold."""
        names = {"left": str(self.left), "right": str(self.right), "layout": self.layout.value}
        return asdict(self) | {"equal": self.equal} | names


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
    try:
        with closing(sqlite3.connect("", isolation_level=None)) as database:
            return _Search((_locate(left), _locate(right)), rtol, atol, most, database).run()
    except OSError as error:
        why = error.strerror or "cannot be read"
        raise CompareError(f"{error.filename}: {why}; give a predictions file or the output folder of a job") from None
    except sqlite3.OperationalError as error:
        hint = (
            "a comparison needs about as much temporary space as the two files have: set TMPDIR to a folder that has it"
        )
        raise CompareError(f"temporary folder: {error}; {hint}") from None


class _Row(NamedTuple):
    """A record, `net` times more on the left (or less, if negative) than on the right."""

    group: tuple[Any, ...]
    record: bytes
    net: int

    @property
    def floats(self) -> list[float]:
        return [float(text) for text in _split(self.record)[1::2]]


class _Search:
    """Two files being compared; `first` are the first differences: key (or nothing), text, kind, left, right, times."""

    def __init__(self, paths: tuple[Path, Path], rtol: float, atol: float, most: int, database: Any) -> None:
        self.paths, self.rtol, self.atol, self.most, self.database = paths, rtol, atol, most, database
        self.close = partial(math.isclose, rel_tol=rtol, abs_tol=atol)
        self.heads = [_head(path) for path in paths]
        self.layouts = [_layout(head) if head else None for head in self.heads]
        layouts = set(self.layouts) - {None}
        self.layout = (layouts.pop() if len(layouts) == 1 else None) or Layout.LINES
        self.counts, self.malformed = Counter[str](), Counter[int]()
        self.first: list[tuple[Any, ...]] = []

    def run(self) -> Comparison:
        """Compare."""
        left, right = self.paths
        same = left.stat().st_size == right.stat().st_size
        same = same and all(one == other for one, other in zip(_read(left, BLOCK), _read(right, BLOCK), strict=False))
        rows = [sum(map(len, _records(left, self.layout)))] * 2 if same else self._compare()
        return Comparison(
            *self.paths,
            self.layout,
            self.rtol,
            self.atol,
            same,
            *rows,
            *(self.counts[kind] for kind in ("only left", "only right", "differs")),
            tuple(self._differences()),
            tuple(self._notes()),
        )

    def _compare(self) -> list[int]:
        self.database.executescript(SCHEMA)
        insert, count = (
            f"INSERT INTO row VALUES ({'?, ' * 9}?)",
            1 + max(path.stat().st_size for path in self.paths) // BUCKET,
        )
        rows = [self._divide(side, path, count) for side, path in enumerate(self.paths)]
        self.database.executemany(insert, chain.from_iterable(map(self._cancel, range(count))))
        for level in range(LEVELS):
            self.database.executemany(insert, self._match(level))
        self._pair_alone()
        return rows

    def _divide(self, side: int, path: Path, count: int) -> int:
        """Write the records of a file into `count` buckets; return how many there are."""
        total = 0
        for records in _records(path, self.layout):
            parts: list[list[bytes]] = [[] for _ in range(count)]
            for number, record in zip(map(hash, map(self.layout.bucket_key, records)), records, strict=True):
                parts[number % count].append(record)
            rows = ((bucket, side, marshal.dumps(part)) for bucket, part in enumerate(parts) if part)
            self.database.executemany("INSERT INTO part VALUES (?, ?, ?)", rows)
            total += len(records)
        return total

    def _cancel(self, bucket: int) -> Iterator[tuple[Any, ...]]:
        """Drop what both sides have; compare the two rows of a name, and yield rows that have a choice."""
        net, size, whole = Counter[bytes](), 0, True
        for side, data in self.database.execute("SELECT side, records FROM part WHERE bucket = ?", [bucket]):
            records = marshal.loads(data)  # noqa: S302 - this process wrote it
            net.subtract(records) if side else net.update(records)
            size += len(data)
            if size > LARGEST_BUCKET:
                yield from (self._row(_Row((), *item), 0, 0) for item in net.items())
                net, size, whole = Counter(), 0, False
        named: dict[bytes, list[_Row]] = defaultdict(list)
        for record, times in net.items():
            if times:
                named[self.layout.bucket_key(record) if whole else b""].append(_Row((), record, times))
        for rows in named.values():
            keys = [self.layout.key(row.record) for row in rows[:3]]
            pair = len(rows) == 2 and rows[0].net == -rows[1].net and keys[0] == keys[1]
            if whole and keys[0] and (pair or len(rows) == 1):
                if not pair:
                    self._add_alone(rows[0])
                elif not self._same(*rows):
                    left, right = sorted(rows, key=lambda row: -row.net)
                    self._add(left.record, right.record, left.net)
            else:
                yield from (self._row(row, 0, 0) for row in rows)

    def _row(self, row: _Row, level: int, near: int) -> tuple[Any, ...]:
        """Return the columns of the table `row`."""
        key, parts = self.layout.key(row.record), _split(row.record)
        floats = [*map(float, parts[1 : 2 * LEVELS : 2]), *[None] * LEVELS][:LEVELS]
        return level, key and b"%d,%b" % key[::-1], b"0.0".join(parts[::2]), near, *floats, row.record, row.net

    def _same(self, left: _Row, right: _Row) -> bool:
        return _split(left.record)[::2] == _split(right.record)[::2] and all(map(self.close, left.floats, right.floats))

    def _match(self, level: int) -> Iterator[tuple[Any, ...]]:
        """Cut sorted rows where the next float is too far away; pair those that remain together, or sort them again."""
        rows = (_Row(row[:3], *row[3:]) for row in self.database.execute(NEAR.format(*self._order(level))))
        for number, (_, near) in enumerate(groupby(rows, key=self._cut(level))):
            first = list(islice(near, 3))
            floats = first[0].floats
            if len(first) < 3 or level + 1 >= min(len(floats), LEVELS):
                for row in self._pair(chain(first, near), level if floats else None):
                    if self.layout.key(row.record):
                        yield self._row(row, ALONE, 0)
                    else:
                        self._add_alone(row)
            else:
                yield from (self._row(row, level + 1, number) for row in chain(first, near))

    def _order(self, level: int) -> list[int]:
        return [level, *(number for number in range(LEVELS) if number != level)]

    def _cut(self, level: int) -> Callable[[_Row], int]:
        """Return a function that numbers sorted rows: a new number where texts change or the next float is not close."""
        number, group, last = 0, (), 0.0

        def near(row: _Row) -> int:
            nonlocal number, group, last
            value = row.floats[level] if row.floats else 0.0
            number += row.group != group or not self.close(last, value)
            group, last = row.group, value
            return number

        return near

    def _pair(self, rows: Iterable[_Row], level: int | None) -> Iterator[_Row]:
        """Pair rows, sorted by one float, first come first served; yield rows, or what is left of them, without partner."""
        waiting: tuple[deque[_Row], deque[_Row]] = (deque(), deque())
        for row in rows:
            mine, others = waiting if row.net > 0 else waiting[::-1]
            while others and level is not None and not self.close(others[0].floats[level], row.floats[level]):
                yield others.popleft()
            for _ in range(len(others)):
                other = others.popleft()
                if row.net and self._same(other, row):
                    row, other = _offset(row, other)
                if other.net:
                    others.append(other)
            if row.net:
                mine.append(row)
            if len(mine) > WINDOW:
                yield mine.popleft()
        yield from chain(*waiting)

    def _pair_alone(self) -> None:
        """Show rows of one name that have no near partner in pairs; only rows of both sides at one place make a pair."""
        rows = (_Row((key,), record, net) for key, record, net in self.database.execute(PLACED))
        for _, named in groupby(rows, key=lambda row: row.group):
            waiting = _Row((), b"", 0)
            for row in named:
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
            self._add(*((row.record, None) if row.net > 0 else (None, row.record)), abs(row.net))

    def _add(self, left: bytes | None, right: bytes | None, times: int) -> None:
        """Count a difference, and keep it if it is among the first ones."""
        record = left if left is not None else right or b""
        key = self.layout.key(record)
        kind = "only right" if left is None else "only left" if right is None else "differs"
        self.counts[kind] += times
        self.malformed[left is None] += times * (key is None)
        insort(self.first, (key or (), record, kind, left, right, times))
        del self.first[self.most :]

    def _differences(self) -> Iterator[Difference]:
        """Look up in both files where the first differences stand, and how often."""
        records = {record for difference in self.first for record in difference[3:5] if record is not None}
        quick = {self.layout.bucket_key(record) for record in records}
        lines: tuple[dict[bytes, int], ...] = ({}, {})
        copies = (Counter[Key | None](), Counter[Key | None]())
        for side, path in enumerate(self.paths):
            number = 1
            for record in chain.from_iterable(_records(path, self.layout)) if records else ():
                if self.layout.bucket_key(record) in quick:
                    lines[side].setdefault(record, number)
                    copies[side][self.layout.key(record)] += 1
                number += 1 + record.count(b"\n")
        for key, _, kind, left, right, times in self.first:
            texts = [None if record is None else record.decode(errors="backslashreplace") for record in (left, right)]
            file, row = (
                (key[0].decode(errors="backslashreplace"), key[1] if key[1] >= 0 else None) if key else (None, None)
            )
            stands = [count[key] if key else None for count in copies]
            yield Difference(kind, *texts, file, row, times, lines[0].get(left), lines[1].get(right), *stands)

    def _notes(self) -> Iterator[str]:
        """Say in words what explains many differences at once."""
        for side, name in enumerate(("Left", "Right")):
            own, other = self.heads[side], self.heads[1 - side]
            if not own and other:
                yield f"{name} is empty."
            if not own or not other:
                continue
            if self.layouts[side] != self.layout and self.layouts[side] in KEYED:
                value = self.layouts[side].value
                yield f"{name} has lines `{value}` and the other one has not: compared line by line."
            if _has_header(own) and not _has_header(other):
                yield f"{name} seems to begin with a header; outputs of batch jobs have none."
            if own[0].endswith(b"\r") and not other[0].endswith(b"\r"):
                yield f"{name} has lines that end with CR LF instead of LF."
            if own[0].startswith(BYTE_ORDER_MARK) and not other[0].startswith(BYTE_ORDER_MARK):
                yield f"{name} begins with a byte order mark."
            if self.malformed[side] and self.layout in KEYED:
                yield f"{name}: rows without partner that are not `{self.layout.value}`: {self.malformed[side]}."


def _offset(row: _Row, other: _Row) -> tuple[_Row, _Row]:
    """Take from rows of different sides what they have in common."""
    common = min(abs(row.net), abs(other.net)) * (1 if row.net > 0 else -1)
    return row._replace(net=row.net - common), other._replace(net=other.net + common)


def _split(record: bytes) -> list[bytes]:
    """Return texts and floats by turns; JSON's names for nan and inf become Python's."""
    if b"NaN" in record or b"Infinity" in record:
        record = NAMED_FLOAT.sub(lambda name: name[0][:3].lower(), record)
    return FLOAT.split(record)


def _locate(path: Path) -> Path:
    """Return the predictions file: the path itself, or the only one in a job's output folder."""
    if path.is_dir():
        folder = path / INNER
        names = sorted(name for name in os.listdir(folder) if name[0] != ".") if folder.is_dir() else []
        if len(names) == 1 and (folder / names[0]).is_file():
            return folder / names[0]
        what = f"{INNER} holds {len(names)} files ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        what = what if names else f"no predictions file in {INNER} (a failed job has none)"
        raise CompareError(f"{path}: {what}; name the file to compare")
    if not stat.S_ISREG(path.stat().st_mode):
        raise CompareError(f"{path}: is no regular file; give a predictions file or the output folder of a job")
    return path


def _head(path: Path) -> list[bytes]:
    """Return the first lines of a file of text."""
    data = next(_read(path, HEAD), b"")
    kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
    if kind or b"\0" in data:
        kind = kind or "a binary file"
        raise CompareError(f"{path}: looks like {kind}; expected the text lines of a predictions file")
    # The last line is empty or, in a larger file, cut.
    return data.split(b"\n")[: data.count(b"\n") or 1] if data else []


def _has_header(lines: list[bytes]) -> bool:
    """Whether the first line seems to be one: a row has digits, a header has none."""
    return [re.search(rb"\d", line) is not None for line in lines[:2]] == [False, True]


def _layout(lines: list[bytes]) -> Layout:
    """Return the layout that most of a file's first lines have."""
    records = _join(lines, b",", False)[0]
    for layout, pattern in KEYED.items():
        keys = [layout.key(record) for record in records]
        if 2 * sum(key is not None and pattern.fullmatch(key[0]) is not None for key in keys) > len(keys):
            return layout
    # A frame: most rows have as many fields, and all those with a quote: elsewhere a quote is a mere character.
    widths = [(len(_fields(record, b" ")), b'"' in record) for record in _join(lines, b" ", False)[0]]
    width, times = Counter(width for width, _ in widths).most_common(1)[0]
    quoted = all(other == width for other, quote in widths if quote)
    return Layout.FRAME if width > 1 and 2 * times > len(widths) and quoted else Layout.LINES


def _read(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(size):
            yield data


def _records(path: Path, layout: Layout) -> Iterator[list[bytes]]:
    """Yield the records of a file, a block at a time. A quoted field may hold line ends."""
    held: list[bytes] = []
    rest, separator = b"", SEPARATOR.get(layout)
    for data in chain(_read(path, BLOCK), [b""]):
        text = rest + data
        *lines, rest = text.split(b"\n")
        if len(rest) > LONGEST_LINE:
            what = f"a line of more than {LONGEST_LINE:,} bytes; expected the text lines of a predictions file"
            raise CompareError(f"{path}: {what}")
        lines += [rest] if rest and not data else []
        if separator and (held or b'"' in text):
            lines, held = _join(held + lines, separator, bool(data))
        yield lines


def _join(lines: list[bytes], separator: bytes, more: bool) -> tuple[list[bytes], list[bytes]]:
    """Return the records of these lines, and the last lines if their record may go on. A malformed line is a record."""
    records, at = [], 0
    while at < len(lines):
        end, quotes = at + 1, lines[at].count(b'"')
        while quotes % 2 and end < len(lines) and end - at <= MOST_LINES:
            quotes, end = quotes + lines[end].count(b'"'), end + 1
        if quotes % 2 and more and end - at <= MOST_LINES:
            return records, lines[at:]
        record = b"\n".join(lines[at:end])
        if quotes % 2 or not RECORD[separator].fullmatch(record):
            record, end = lines[at], at + 1
        elif quotes and separator == b",":
            record = b",".join(map(_quoted, _fields(record, b",")))
        records.append(record)
        at = end
    return records, []


def _fields(record: bytes, separator: bytes) -> list[bytes]:
    """Return the fields, unquoted; one field, the record itself, where it is malformed."""
    if b'"' not in record:
        return record.split(separator)
    if not RECORD[separator].fullmatch(record):
        return [record]
    return [text[1:-1].replace(b'""', b'"') if text[:1] == b'"' else text for text in FIELD[separator].findall(record)]


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b'"', b'""') + b'"' if re.search(rb'[,"\n\r]', text) else text


def _printable(text: str) -> str:
    """Return one line of text that harms no terminal, cut in the middle where it is long."""
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= WIDTH else f"{text[: WIDTH // 2]} ... {text[-WIDTH // 2 :]}"
