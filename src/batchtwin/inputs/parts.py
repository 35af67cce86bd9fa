"""One large file -> parts of so many rows (`--split-rows`), found at the speed of the disk, without pandas.

A part of a CSV file is a range of bytes that begins and ends with a record; of a Parquet file it is row groups. A file
with anything that makes its records uncertain (a blank line, a lone carriage return, an open quote) is not split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from batchtwin_node.protocol import FilePart
from batchtwin_node.readers import ending
from batchtwin_node.readers.columns import ABSENT_IF_EMPTY, NUMBERS
from batchtwin_node.readers.signature import Signature

BLOCK, LONGEST_HEADER = 1 << 20, 1 << 16
# `auto`: the most and the fewest bytes of a part, and parts for each worker.
LARGEST, SMALLEST, PARTS = 64 << 20, 8 << 20, 4
# With fewer rows nobody can tell whether a model treats rows one by one.
FEWEST_ROWS = 100
TYPES = frozenset(NUMBERS | {"string"})
NO_SIGNATURE = (
    "the model's signature does not give every column a name and a type that one part alone can be read with "
    "(numbers that are required, texts)"
)
Rows = int | Literal["auto"]


class NotSplittableError(Exception):
    """Why a file is scored whole, as text."""


def why_not_in_parts(inputs: str) -> str:
    """Return why this signature, JSON of MLmodel, rules out parts; an empty text if it does not.

    A column without values in one part alone must mean the same as in the whole file.
    """
    signature = Signature.of_json(inputs, TYPES)
    if signature is None or any(c.type in ABSENT_IF_EMPTY and not c.required for c in signature.columns):
        return NO_SIGNATURE
    return ""


def bytes_per_part(total: int, workers: int) -> int:
    """Return the size of a part under `auto`, if there are `total` bytes for so many workers."""
    return min(LARGEST, max(SMALLEST, total // (PARTS * workers)))


def split_into_parts(path: str, rows: Rows, part_bytes: int = LARGEST) -> tuple[FilePart, ...]:
    """Return the parts of a file, each of `rows` rows but the last; `auto`: of about `part_bytes`. () for a single one.

    Raises:
        NotSplittableError: it is scored whole; the text says why.
        OSError: it cannot be read.
    """
    kind = ending(path)
    if kind == ".csv":
        parts = tuple(_csv_parts(path, rows, part_bytes))
    elif kind in {".parquet", ".pqt"}:
        parts = tuple(_parquet_parts(path, rows, part_bytes))
    else:
        raise NotSplittableError(f"files that end with '{kind}' have no rows")
    return parts if len(parts) > 1 else ()


@dataclass
class _Position:
    """The position of a scan of records: `at` in bytes; `row` and `line` count what comes before."""

    at: int
    row: int = 0
    line: int = 2


def _csv_parts(path: str, rows: Rows, part_bytes: int) -> Iterator[FilePart]:
    with open(path, "rb") as stream:
        header = stream.readline(LONGEST_HEADER)
        if not header.endswith(b"\n") or b'"' in header or not header.strip():
            raise NotSplittableError("its first line is no plain header")
        begin = end = _Position(len(header))
        limit = rows if rows != "auto" else 0
        for end in _ends_of_records(_checked(iter(lambda: stream.read(BLOCK), b"")), len(header), limit, part_bytes):
            yield FilePart(begin.at, end.at - begin.at, begin.row, end.row - begin.row, begin.line, len(header))
            begin = end


def _checked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks, and refuse what pandas does not read as one line each."""
    last = b"\n"
    for block in blocks:
        text = last + block
        if b"\n\n" in text or b"\n\r" in text:
            raise NotSplittableError("it has blank lines")
        if b"\r" in text and text.count(b"\r") != text.count(b"\r\n") + text.endswith(b"\r"):
            raise NotSplittableError("it has carriage returns that end no line")
        last = block[-1:]
        yield block
    if last == b"\r":
        raise NotSplittableError("it has carriage returns that end no line")


def _ends_of_records(blocks: Iterable[bytes], start: int, rows: int, part_bytes: int) -> Iterator[_Position]:
    """Yield the positions after `rows` records each, or after the record that exceeds `part_bytes`; the end last."""
    position, cut = _Position(start), _Position(start)
    is_quoted = False
    base, last = start, b"\n"
    for block in blocks:
        offset = 0
        while offset < len(block):
            if rows:
                rows_left, least = cut.row + rows - position.row, 0
            else:
                rows_left, least = 0, cut.at + part_bytes - base
            end, ends, lines, is_quoted = _scan(block, offset, is_quoted, rows_left, least)
            position = _Position(base + end, position.row + ends, position.line + lines)
            is_full = position.row - cut.row == rows if rows else position.at - cut.at >= part_bytes
            if is_full and not is_quoted and block[end - 1 : end] == b"\n":
                yield position
                cut = position
            offset = end
        base += len(block)
        last = block[-1:]
    if is_quoted:
        raise NotSplittableError("a quote is never closed")
    if last != b"\n":
        position = _Position(position.at, position.row + 1, position.line + 1)
    if position.at > cut.at:
        yield position


def _scan(block: bytes, offset: int, is_quoted: bool, rows: int, least: int) -> tuple[int, int, int, bool]:
    """Go on in a block up to its end, to the end of record number `rows`, or to one beyond the byte `least`.

    Returns the offset there, the number of ends of records and lines on the way, and whether a quote is open there.
    """
    is_plain = not is_quoted and block.find(b'"', offset) < 0
    if is_plain:
        ends = block.count(b"\n", offset)
        if not (ends >= rows if rows else least < len(block)):
            return len(block), ends, ends, False
        if rows:
            end, passed = _nth(block, offset, rows), rows
        else:
            end = block.find(b"\n", max(offset, least)) + 1 or len(block)
            passed = block.count(b"\n", offset, end)
        return end, passed, passed, False
    passed = lines = 0
    at = offset
    newline, quote = block.find(b"\n", at), block.find(b'"', at)
    while at < len(block):
        if 0 <= newline < at:
            newline = block.find(b"\n", at)
        if 0 <= quote < at:
            quote = block.find(b'"', at)
        if quote >= 0 and (newline < 0 or quote < newline):
            is_quoted, at = not is_quoted, quote + 1
            continue
        if newline < 0:
            break
        at = newline + 1
        lines += 1
        passed += not is_quoted
        if not is_quoted and (passed == rows if rows else at > least):
            return at, passed, lines, False
    return len(block), passed, lines, is_quoted


def _nth(block: bytes, offset: int, number: int) -> int:
    for _ in range(number):
        offset = block.index(b"\n", offset) + 1
    return offset


def _parquet_parts(path: str, rows: Rows, part_bytes: int) -> Iterator[FilePart]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise NotSplittableError("pyarrow, which finds its row groups, is not installed beside batchtwin") from None
    try:
        with pq.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            groups = [(group.num_rows, group.total_byte_size) for group in sizes]
    except (pa.ArrowException, OSError) as error:
        raise NotSplittableError(f"its row groups cannot be read: {error}") from None
    first, row, count, size = 0, 0, 0, 0
    for number, (group_rows, group_bytes) in enumerate(groups):
        count, size = count + group_rows, size + group_bytes
        if (count >= rows if rows != "auto" else size >= part_bytes) or number == len(groups) - 1:
            yield FilePart(first, number + 1 - first, row, count, 0, 0)
            first, row, count, size = number + 1, row + count, 0, 0
