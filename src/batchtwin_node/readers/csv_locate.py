"""What is wrong with a CSV file, and where: the slow search after the fast read has failed. Memory is bounded."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from batchtwin_node.codec import value_object
from batchtwin_node.readers.bad_file import BadFileError, kind_of, quote
from batchtwin_node.readers.columns import BOOLEANS, NUMBERS, convert, refusal
from batchtwin_node.readers.csv_checks import may_be_rounded
from batchtwin_node.readers.csv_file import read_typed, refusals, strictly, text_chunks, typed_chunks
from batchtwin_node.readers.file_kind import CSV
from batchtwin_node.readers.signature import Column, Columns

if TYPE_CHECKING:
    import pandas as pd


# Messages of pandas' parser.
UNCLOSED, NO_COLUMNS = "EOF inside string", "No columns to parse"


@value_object
class Record:
    """One record, its number (the header is -1) and the line, from 1, on which it begins.

    Bytes that are not UTF-8 are surrogates in the texts.
    """

    row: int
    line: int
    texts: list[str]


def explain_refusal(path: str, columns: Columns | None, text: str) -> BadFileError:
    """Return why a file was refused: its true format, the place that is wrong, or the parser's `text`."""
    kind = kind_of(path, CSV)
    if kind is not None:
        return BadFileError(path, f"{kind} ({text})" if NO_COLUMNS in text else kind)
    fault = first_problem(path, columns)
    if fault is None and UNCLOSED in text:
        fault = _unclosed(path, text)
    return fault or BadFileError(path, text)


def _unclosed(path: str, text: str) -> BadFileError | None:
    """Return the error for a quote that is never closed: the last record holds all that follows it."""
    try:
        last = deque(records(path), maxlen=1)
    except csv.Error:
        return None  # a field longer than the csv module takes
    problem = f"a quote opens here and is never closed: double the quotes inside of texts ({text})"
    for record in last:
        return BadFileError(path, problem, row=record.row if record.row >= 0 else None, line=record.line)
    return None


def first_problem(path: str, columns: Columns | None) -> BadFileError | None:
    """Find the first invalid record, or the first value that its column's type refuses.

    None if both are fine: the caller has the parser's own message.
    """
    broken = _first_broken(path)
    if columns is not None and (broken is None or (broken.bad_file.row or 0) > 0):
        fault = _first_wrong(path, columns)
        if fault and (broken is None or fault[1] < (broken.bad_file.row or 0)):
            column, row, value = fault
            problem, line = refusal(column.type, value), line_of(path, row)
            return BadFileError(path, problem, column=column.name, row=row, line=line, value=value)
    return broken


def line_of(path: str, row: int) -> int | None:
    """Return the line, from 1, on which record `row` begins: blank lines and quoted newlines count."""
    try:
        return next(islice(records(path), row + 1, None)).line
    except (csv.Error, StopIteration):
        return None  # a field longer than the csv module takes


def records(path: str) -> Iterator[Record]:
    """Split a file as pandas does: lines of blanks only are no records."""
    last = ""

    def lines(stream: io.TextIOWrapper) -> Iterator[str]:
        nonlocal last
        for line in stream:
            last = line
            yield line

    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        split = csv.reader(lines(stream))
        row, begin = -1, 1
        for texts in split:
            if texts and (len(texts) > 1 or last.strip(" \t\r\n")):
                yield Record(row, begin, texts)
                row += 1
            begin = split.line_num + 1


def _first_broken(path: str) -> BadFileError | None:
    """Find the first record with bytes that are not UTF-8, or with more fields than the header."""
    header: list[str] = []
    longest = 0
    try:
        for record in records(path):
            if record.row < 0:
                header = record.texts
            row = record.row if record.row >= 0 else None
            for at, text in enumerate(record.texts):
                if not text.isascii() and (value := _undecodable(text)):
                    column = header[at] if row is not None and at < len(header) else None
                    problem = f"not UTF-8: '{value}'; save the file as UTF-8{_in_windows_1252(text)}"
                    return BadFileError(path, problem, column=column, row=row, line=record.line, value=value)
            # Empty fields beyond the header are valid if the first row has them too, as in pandas.
            longest = len(header) if row is None else max(longest, len(record.texts)) if row == 0 else longest
            if len(record.texts) > longest or any(record.texts[len(header) :]):
                problem = f"{len(record.texts)} fields, the header has {len(header)}: quote values that hold a comma"
                return BadFileError(path, problem, row=row, line=record.line)
    except csv.Error:
        return None
    return None


def _undecodable(text: str) -> str | None:
    """Return the text with the bytes that are not UTF-8 as \\xNN; None if there are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return None


def _in_windows_1252(text: str) -> str:
    """Return a hint if the text is valid in the encoding of most files that are not UTF-8."""
    try:
        other = text.encode("utf-8", "surrogateescape").decode("cp1252")
    except UnicodeError:
        return ""
    return f"; it may be Windows-1252, where this is {quote(other)}" if other.isprintable() else ""


def _first_wrong(path: str, columns: Columns) -> tuple[Column, int, str | None] | None:
    """Find the first chunk that cannot be typed, and in it the first value (column, row, text)."""
    start = 0
    try:
        with typed_chunks(path, columns) as values, text_chunks(path, columns, missing=False) as texts:
            while True:
                try:
                    with strictly():
                        frame = convert(values.get_chunk(), columns)
                except StopIteration:
                    return None
                except refusals():
                    return _in_chunk(texts.get_chunk(), columns, start)
                chunk = texts.get_chunk()
                doubtful = may_be_rounded(frame, columns) or _any_boolean(_numbers(chunk, columns))
                if doubtful and (wrong := _in_chunk(chunk, columns, start)):
                    return wrong
                start += len(chunk)
    except refusals():
        return None


def _in_chunk(texts: pd.DataFrame, columns: Columns, start: int) -> tuple[Column, int, str | None] | None:
    """Find the wrong value in the first row. `texts`: (rows, columns) as the file has them."""
    first: tuple[Column, int, str | None] | None = None
    for column in _suspects(texts, columns):
        if first and first[1] == start:
            break
        cells = texts[column.name].iloc[: first[1] - start if first else None]
        at = first_refused(len(cells), partial(_parses, cells, column))
        if at is not None:
            text = cells.iloc[at]
            first = (column, start + at, None if _is_missing(text) else str(text))
    return first


def _suspects(texts: pd.DataFrame, columns: Columns) -> Iterator[Column]:
    """Yield the columns with a wrong value, in order. Wide tables mostly have few, so columns are halved."""
    names = [column.name for column in columns]
    if _all_parse(texts[names], columns):
        return
    if len(columns) == 1:
        yield columns[0]
        return
    middle = len(columns) // 2
    yield from _suspects(texts, columns[:middle])
    yield from _suspects(texts, columns[middle:])


def first_refused(count: int, accepts: Callable[[int, int], bool]) -> int | None:
    """Find by bisection the first of `count` values that `accepts(low, high)` refuses; None if there is none."""
    if not count or accepts(0, count):
        return None
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepts(low, middle) else (low, middle)
    return low


def _parses(texts: pd.Series[str], column: Column, low: int, high: int) -> bool:
    return _all_parse(texts.iloc[low:high].to_frame(), (column,))


def _all_parse(texts: pd.DataFrame, columns: Columns) -> bool:
    """Whether the parser that refused the file accepts these values."""
    if _any_boolean(_numbers(texts, columns)):
        return False
    try:
        with strictly():
            read_typed(_as_csv(texts), columns, list(texts.columns))
    except refusals():
        return False
    return True


def _numbers(texts: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    names = [column.name for column in columns if column.type in NUMBERS]
    return texts if len(names) == len(texts.columns) else texts[names]


def _is_missing(text: str) -> bool:
    import pandas as pd

    return bool(pd.read_csv(_as_csv(pd.DataFrame({"text": [text]})), dtype=str).isna().iloc[0, 0])


def _any_boolean(texts: pd.DataFrame) -> bool:
    import pandas as pd

    return bool(pd.Series(texts.to_numpy(dtype=object).ravel(), dtype=object).isin(BOOLEANS).any())


def _as_csv(cells: pd.DataFrame) -> io.StringIO:
    import pandas as pd

    values = cells.to_numpy(dtype=object, copy=True)
    values[pd.isna(values)] = ""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(cells.columns)
    writer.writerows(values.tolist())
    stream.seek(0)
    return stream
