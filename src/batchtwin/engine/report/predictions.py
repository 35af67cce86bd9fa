"""The rows of a job -> distributions by column, and by input file where rows name one. Memory is bounded.

The report at the end of a job reads blocks that are spread evenly over the output; `batchtwin report` reads every row.
Both say how many rows they have read.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchtwin.engine.report.distribution import ColumnCounts
from batchtwin.predictions.file import LineLayout, comma_of, file_field, header_of, line_layout
from batchtwin.safe_open import open_file
from batchtwin_node.codec import value_object

SAMPLE_BYTES, SAMPLE_BLOCK = 1 << 19, 1 << 13
BLOCK, HEAD = 1 << 20, 1 << 16
# A longer line is not read as a row.
LONGEST_LINE = 1 << 22
LONGEST_VALUE = 10_000
MOST_COLUMNS, MOST_GROUPS, GROUP_NUMBERS = 6, 200, 2000
PLAIN = {
    LineLayout.ROWS: re.compile(rb"^\d+,([^,\n]*),([^,\n]+)$", re.MULTILINE),
    LineLayout.IMAGES: re.compile(rb"^([^,\n]*),([^,\n]+)$", re.MULTILINE),
}
PREDICTION = "prediction"
Values = Counter[tuple[str, str]]


@value_object
class Range:
    """A range of bytes of a file that holds rows, and their input file, where that is known."""

    path: Path
    offset: int
    length: int
    label: str = ""


@dataclass
class Predictions:
    """Distributions over `read` of `rows` rows; nothing is known of `unread` lines; `groups` are input files.

    Rows without a key may have fields, which `separator` divides; field `file_at` is the name of a file. `names` are
    those of the fields, where they are known; `header` is a line that has them.
    """

    rows: int
    layout: LineLayout = LineLayout.LINES
    separator: str = ""
    file_at: int | None = None
    names: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    read: int = 0
    unread: int = 0
    columns: dict[str, ColumnCounts] = field(default_factory=dict)
    more_columns: int = 0
    groups: dict[str, ColumnCounts] = field(default_factory=dict)
    more_groups: bool = False

    @property
    def is_sample(self) -> bool:
        """Whether rows were left out."""
        return self.read + self.unread < self.rows


@value_object
class Earlier:
    """Another job's folder by name, its rows, and counts of rows that changed, by name; `text` introduces them."""

    name: str
    predictions: Predictions | None
    text: str
    changes: tuple[tuple[str, int], ...] = ()


def read_predictions(
    ranges: list[Range], root: Path, rows: int, *, every_row: bool, outputs: Sequence[str] = ()
) -> Predictions:
    """Read the rows in these ranges of files below `root`, which hold `rows` rows, or more if they are a selection.

    `outputs` are the names that the model's signature has for its output.

    Raises:
        OSError: a file cannot be read.
    """
    predictions = Predictions(rows)
    head = next((_read(part, root, 0, min(part.length, HEAD)) for part in ranges if part.length), b"")
    lines = head.split(b"\n")[: head.count(b"\n") or 1]
    predictions.layout = line_layout(lines) or LineLayout.LINES if head else LineLayout.LINES
    if not predictions.layout.keyed:
        predictions.separator = " " if predictions.layout is LineLayout.FRAME else comma_of(lines)
        predictions.file_at = file_field(lines, predictions.separator)
        predictions.header = header_of(lines, predictions.separator)
        predictions.names = predictions.header
        if predictions.layout is LineLayout.FRAME and outputs:
            at = predictions.file_at
            predictions.names = [*outputs] if at is None else [*outputs[:at], "", *outputs[at:]]
    total = sum(part.length for part in ranges)
    for part in ranges:
        share = total if every_row else SAMPLE_BYTES * part.length // max(total, 1)
        whole = every_row or total <= SAMPLE_BYTES
        for block in _whole(part, root) if whole else _spread(part, root, share):
            _take(predictions, block, part.label)
    return predictions


def _read(part: Range, root: Path, at: int, size: int) -> bytes:
    with open_file(part.path, "rb", root) as stream:
        stream.seek(part.offset + at)
        return stream.read(size)


def _whole(part: Range, root: Path) -> Iterator[bytes]:
    """Yield all lines, in blocks."""
    rest, left = b"", part.length
    with open_file(part.path, "rb", root) as stream:
        stream.seek(part.offset)
        while left > 0 and (data := stream.read(min(BLOCK, left))):
            left -= len(data)
            head, newline, tail = (rest + data).rpartition(b"\n")
            if newline:
                yield head
            rest = tail[:LONGEST_LINE]
    if rest:
        yield rest


def _spread(part: Range, root: Path, size: int) -> Iterator[bytes]:
    """Yield whole lines of blocks that are spread evenly, about `size` bytes in all."""
    blocks, done = max(1, size // SAMPLE_BLOCK), 0
    with open_file(part.path, "rb", root) as stream:
        for number in range(blocks):
            at = max(done, (part.length - SAMPLE_BLOCK) * number // max(blocks - 1, 1))
            stream.seek(part.offset + at)
            if at > done:  # in the middle of a line
                at += len(stream.readline(LONGEST_LINE))
            data = stream.read(max(0, min(SAMPLE_BLOCK, part.length - at)))
            # Where predictions are vectors, a line may be longer than a block.
            data += stream.readline(max(0, min(LONGEST_LINE, part.length - at - len(data))))
            done = at + len(data)
            if text := data.removesuffix(b"\n"):
                yield text


def _take(predictions: Predictions, block: bytes, label: str) -> None:
    lines = block.count(b"\n") + 1
    layout = predictions.layout
    if layout.keyed:
        pairs = _plain_pairs(block, layout) if b'"' not in block else _quoted_pairs(block, layout)
        rows = sum(pairs.values())
        _add_pairs(predictions, pairs)
    else:
        texts = block.decode("utf-8", "replace")
        rows = _add_lines(predictions, texts, label)
    predictions.read += rows
    if b'"' not in block:
        predictions.unread += lines - rows


def _plain_pairs(block: bytes, layout: LineLayout) -> Values:
    counts = Counter(PLAIN[layout].findall(block))
    pairs: Values = Counter()
    for (value, file), times in counts.items():
        pairs[value.decode("utf-8", "replace"), file.decode("utf-8", "replace")] += times
    return pairs


def _records(text: str, separator: str) -> Iterator[list[str]]:
    """Yield records that may be quoted. Malformed ones are left out of a sample: a block may begin in a field."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue


def _quoted_pairs(block: bytes, layout: LineLayout) -> Values:
    at, width = (1, 3) if layout is LineLayout.ROWS else (0, 2)
    pairs: Values = Counter()
    for fields in _records(block.decode("utf-8", "replace"), ","):
        if len(fields) == width and fields[-1] and (width == 2 or fields[0].isdigit()):
            pairs[fields[at], fields[-1]] += 1
    return pairs


def _add_pairs(predictions: Predictions, pairs: Values) -> None:
    values: dict[str, dict[str, int]] = {}
    files: dict[str, dict[str, int]] = {}
    main = next(iter(predictions.columns), "")
    for (value, file), times in pairs.items():
        for name, text in _parts(value) if value[:1] in {"[", "{"} else ((PREDICTION, value[:LONGEST_VALUE]),):
            main = main or name
            _count(values, name, text, times)
            if name == main:
                _count(files, file, text, times)
    for name, counts in values.items():
        _add_column(predictions, name, counts)
    for file, counts in files.items():
        _add_group(predictions, file, counts)


def _count(counts: dict[str, dict[str, int]], name: str, text: str, times: int) -> None:
    inner = counts.setdefault(name, {})
    inner[text] = inner.get(text, 0) + times


def _add_lines(predictions: Predictions, text: str, label: str) -> int:
    """Count rows without a key: fields by position, or whole lines."""
    columns: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    rows = 0
    for cells, file in _rows(predictions, text):
        rows += 1
        for name, value in cells:
            columns.setdefault(name, []).append(value)
        if (file or label) and cells:
            main = cells[-1 if predictions.separator else 0][1]
            files.setdefault(file or label, []).append(main)
    for name, values in columns.items():
        _add_column(predictions, name, Counter(values))
    for file, values in files.items():
        _add_group(predictions, file, Counter(values))
    return rows


def _rows(predictions: Predictions, text: str) -> Iterator[tuple[list[tuple[str, str]], str]]:
    """Yield the named values of each row, and its file. Of many columns the last ones."""
    separator, file_at, names = predictions.separator, predictions.file_at, predictions.names
    if not separator:
        yield from ((list(_parts(line)), "") for line in text.split("\n"))
        return
    plain = (line.split(separator) for line in text.split("\n"))
    for fields in _records(text, separator) if '"' in text else plain:
        if fields == predictions.header:
            yield [], ""
            continue
        known = names if len(names) == len(fields) else [f"column {at + 1}" for at in range(len(fields))]
        named = [(known[at], field[:LONGEST_VALUE]) for at, field in enumerate(fields) if at != file_at]
        predictions.more_columns = max(predictions.more_columns, len(named) - MOST_COLUMNS, 0)
        yield named[-MOST_COLUMNS:], fields[file_at] if file_at is not None and file_at < len(fields) else ""


def _parts(value: str) -> Iterator[tuple[str, str]]:
    """Yield the columns of one prediction: the elements of a JSON list or object, else the text itself."""
    if value[:1] in {"[", "{"} and len(value) <= LONGEST_VALUE:
        try:
            data = json.loads(value)
        except (ValueError, RecursionError):
            data = None
        items = list(enumerate(data)) if isinstance(data, list) else list(data.items()) if data else []
        if items and all(isinstance(element, str | int | float | None) for _, element in items):
            for name, element in items[:MOST_COLUMNS]:
                yield f"prediction[{name}]", "" if element is None else str(element)
            return
    yield PREDICTION, value[:LONGEST_VALUE]


def _add_column(predictions: Predictions, name: str, counts: Mapping[str, int]) -> None:
    column = predictions.columns.get(name)
    if column is None:
        if len(predictions.columns) >= MOST_COLUMNS:
            predictions.more_columns += 1
            return
        column = predictions.columns[name] = ColumnCounts()
    column.add(counts)


def _add_group(predictions: Predictions, file: str, counts: Mapping[str, int]) -> None:
    group = predictions.groups.get(file)
    if group is None:
        if len(predictions.groups) >= MOST_GROUPS:
            predictions.more_groups = True
            return
        group = predictions.groups[file] = ColumnCounts(most_numbers=GROUP_NUMBERS)
    group.add(counts)
