"""The way of a comparison: cancel what is the same to the byte, match the rest with tolerance, bucket by bucket.

Both files are divided among temporary files so that what belongs together is in the same one: by file and row where
rows have these, else by the whole line and, for what then is left, by the text around the floats.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory

from batchtwin.compare.comparison import Comparison
from batchtwin.compare.errors import TemporaryFilesError
from batchtwin.compare.layout import Key, Layout
from batchtwin.compare.match import LEFT, RIGHT, Row, is_pair, unmatched
from batchtwin.compare.numbers import Tolerance, without_floats
from batchtwin.compare.source import BLOCK, Source, locate
from batchtwin.compare.spill import Buckets, Sorter, writing
from batchtwin.compare.tally import Found, Tally
from batchtwin.errors import UsageError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Limits:
    """What is held in memory at once: bytes read, bytes of a bucket on one side, rows sorted."""

    block: int = BLOCK
    bucket: int = 1 << 20
    rows: int = 100_000


MEMORY = Limits()


def compare(
    left: Path, right: Path, rtol: float = 1e-9, atol: float = 0.0, most: int = 10, *, limits: Limits = MEMORY
) -> Comparison:
    """Compare two prediction files, or the only ones of two jobs' output folders, whatever the order of their lines.

    Rows are paired by file and row, or by file, where both have the lines of the MLflow driver; else line by line.
    Floats are the same within `rtol` (of the larger one) or `atol`; everything else, whole numbers too, to the byte.
    The first `most` differences are listed. Memory does not grow with the files.

    Raises:
        BatchTwinError: a file is missing, is not made of lines, or cannot be read, or an option makes no sense.
    """
    tolerance = Tolerance(rtol, atol)
    if most < 0:
        raise UsageError(f"--most {most}: expected a count from 0")
    sources = (Source(locate(left), limits.block), Source(locate(right), limits.block))
    layout = _layout(*sources)
    tally = Tally(most)
    same_bytes = sources[LEFT].same_bytes(sources[RIGHT])
    if same_bytes:
        rows = [sum(map(len, sources[LEFT].records(layout)))] * 2
    else:
        with _temporary() as folder, writing(Path(folder)):
            rows = _Search(sources, layout, tolerance, tally, Path(folder), limits).run()
    lines = tuple(source.line_numbers(layout, wanted) for source, wanted in zip(sources, tally.wanted(), strict=True))
    return Comparison(
        left=sources[LEFT].path,
        right=sources[RIGHT].path,
        layout=layout,
        tolerance=tolerance,
        same_bytes=same_bytes,
        left_rows=rows[LEFT],
        right_rows=rows[RIGHT],
        only_left=tally.counts["only left"],
        only_right=tally.counts["only right"],
        differing=tally.counts["differs"],
        differences=tally.differences(lines),
        notes=tuple(_notes(sources, layout, tally)),
    )


class _Search:
    """Two sources being compared in a temporary folder; what is found goes to the tally."""

    def __init__(
        self,
        sources: tuple[Source, Source],
        layout: Layout,
        tolerance: Tolerance,
        tally: Tally,
        folder: Path,
        limits: Limits,
    ) -> None:
        self.layout, self.tolerance, self.tally, self.limits = layout, tolerance, tally, limits
        self.sources = sources
        self.count = 1 + max(source.size for source in sources) // limits.bucket
        self.sides = [Buckets(folder / name, self.count) for name in ("left", "right")]
        self.rest = Buckets(folder / "rest", self.count)
        self.sorter = Sorter(folder, limits.rows)

    def run(self) -> list[int]:
        """Compare; return the number of rows by side."""
        rows = [self._divide(source, buckets) for source, buckets in zip(self.sources, self.sides, strict=True)]
        for number in range(self.count):
            self._cancel(number)
        self.rest.flush()
        for number in range(self.count):
            for row in unmatched(map(_row, self.rest.lines(number)), self.tolerance, self.sorter):
                key = self.layout.key(row.record)
                self.tally.malformed[row.side] += row.times if self.layout.keyed and not key else 0
                self.tally.add(Found.only(key, row))
        return rows

    def _divide(self, source: Source, buckets: Buckets) -> int:
        rows, key = 0, self.layout.bucket_key
        for block in source.records(self.layout):
            buckets.add(map(key, block) if key else block, block)
            rows += len(block)
        buckets.flush()
        return rows

    def _cancel(self, number: int) -> None:
        """Drop what both sides have; match by key what has one, keep the rest for later."""
        size = max(buckets.size(number) for buckets in self.sides)
        left, right = (Counter(buckets.lines(number)) for buckets in self.sides)
        if dict.__eq__(left, right):
            return
        # A few keys with very many rows each would not fit into memory.
        key_of = self.layout.key if size <= 8 * self.limits.bucket else Layout.LINES.key
        surplus = (_surplus(left, right), _surplus(right, left))
        self._drop_close_floats(*surplus)
        named: defaultdict[Key, list[Row]] = defaultdict(list)
        for side, lines in enumerate(surplus):
            for line, times in lines.items():
                record = line[:-1]
                if key := key_of(record):
                    named[key].append(Row.of(record, side, times))
                else:
                    self.rest.add([without_floats(record)], [b"%d %d %b" % (side, times, record)])
        kept = {key for key, rows in named.items() for found in self._differing(key, rows) if self.tally.add(found)}
        if kept:
            self._count_copies(kept, left, right)

    def _drop_close_floats(self, left: dict[bytes, int], right: dict[bytes, int]) -> None:
        """Drop what is most frequent, and quick to find: one float in one row on each side, and the two are close."""
        key = self.layout.bucket_key
        if not key or not left or not right:
            return
        others, rest = _by_key(right, key), self.layout.rest
        pairs = [
            (line, other)
            for name, line in _by_key(left, key).items()
            if line and (other := others.get(name)) and left[line] == right[other]
        ]
        same = self.tolerance.same_floats((rest(line) for line, _ in pairs), (rest(other) for _, other in pairs))
        for line, other in compress(pairs, same):
            del left[line], right[other]

    def _differing(self, key: Key, rows: list[Row]) -> Iterator[Found]:
        """Give the differences of rows with the same key."""
        alone: tuple[list[Row], list[Row]] = ([], [])
        for row in self._unmatched(rows):
            alone[row.side].append(row)
        lefts, rights = (deque(sorted(side, key=lambda row: row[:3])) for side in alone)
        while lefts and rights:
            left, right = lefts.popleft(), rights.popleft()
            times = min(left.times, right.times)
            yield Found.pair(key, left.record, right.record, times)
            for row, side in ((left, lefts), (right, rights)):
                if row.times > times:
                    side.appendleft(row._replace(times=row.times - times))
        for row in (*lefts, *rights):
            yield Found.only(key, row)

    def _unmatched(self, rows: list[Row]) -> Iterator[Row]:
        if len(rows) == 2 and is_pair(*rows):
            left, right = rows
            same = left.texts == right.texts and self.tolerance.all_close(left.floats, right.floats)
            return iter(() if same else rows)
        return unmatched(rows, self.tolerance, self.sorter)

    def _count_copies(self, keys: set[Key], left: Counter[bytes], right: Counter[bytes]) -> None:
        found = [Counter[Key](), Counter[Key]()]
        for side, lines in zip(found, (left, right), strict=True):
            for line, count in lines.items():
                key = self.layout.key(line[:-1])
                if key in keys:
                    side[key] += count
        self.tally.copies |= {key: (found[LEFT][key], found[RIGHT][key]) for key in keys}


def _row(line: bytes) -> Row:
    """Return a row that waits among the rest."""
    side, times, record = line[:-1].split(b" ", 2)
    return Row.of(record, int(side), int(times))


def _surplus(mine: Counter[bytes], others: Counter[bytes]) -> dict[bytes, int]:
    """Return the lines that stand more often on this side, and how many more."""
    return {line: more for line, times in mine.items() - others.items() if (more := times - others.get(line, 0)) > 0}


def _by_key(lines: Iterable[bytes], key: Callable[[bytes], bytes]) -> dict[bytes, bytes | None]:
    """Return the line of each bucket key; None where there are more."""
    found: dict[bytes, bytes | None] = {}
    for line in lines:
        name = key(line)
        found[name] = None if name in found else line
    return found


def _temporary() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="batchtwin-compare-")
    except OSError as error:
        raise TemporaryFilesError(error.filename or "temporary folder", error.strerror or "cannot be written") from None


def _layout(left: Source, right: Source) -> Layout:
    layouts = {source.layout for source in (left, right)} - {None}
    return (layouts.pop() if len(layouts) == 1 else None) or Layout.LINES


def _notes(sources: tuple[Source, Source], layout: Layout, tally: Tally) -> Iterator[str]:
    """Say in words what explains many differences at once."""
    for side, (name, source, other) in enumerate(
        (("Left", sources[LEFT], sources[RIGHT]), ("Right", sources[RIGHT], sources[LEFT]))
    ):
        mine, others = source.head[:1], other.head[:1]
        if not mine and others:
            yield f"{name} is empty."
        if not mine or not others:
            continue
        if source.layout != layout and source.layout in (Layout.ROWS, Layout.IMAGES):
            yield f"{name} has lines `{source.layout.value}` and the other one has not: compared line by line."
        if source.has_header and not other.has_header:
            yield f"{name} seems to begin with a header; outputs of batch jobs have none."
        if mine[0].endswith(b"\r") and not others[0].endswith(b"\r"):
            yield f"{name} has lines that end with CR LF instead of LF."
        if mine[0].startswith(BYTE_ORDER_MARK) and not others[0].startswith(BYTE_ORDER_MARK):
            yield f"{name} begins with a byte order mark."
        if tally.malformed[side]:
            yield f"{name}: rows without partner that are not `{layout.value}`: {tally.malformed[side]}."
