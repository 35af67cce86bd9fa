"""What pandas does not check in a CSV file: booleans among numbers, empty columns, rows that are too long."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from io import BytesIO
from typing import IO, TYPE_CHECKING

from batchtwin_node.readers.bad_file import BadFileError, quote
from batchtwin_node.readers.columns import BOOLEANS, NUMBERS, RANGES, decimal_of, refusal
from batchtwin_node.readers.signature import ANY, Column, Columns

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 1 << 18
# A file with more bytes per column is tall.
BYTES_PER_COLUMN = 4096
# From here on doubles skip whole numbers; smaller ones are exact.
INEXACT = 2**53
BOOLEAN = re.compile("|".join(sorted(BOOLEANS)).encode())
LONGEST_BOOLEAN = max(map(len, BOOLEANS))
# Letters of booleans that no number has.
LETTERS = (b"u", b"U", b"l", b"L")


def may_hold_booleans(path: str) -> bool:
    """Whether a file contains the text of a boolean. Most have none of its letters, which is a quick check."""
    block, end = bytearray(BLOCK), 0
    with open(path, "rb", buffering=0) as stream:
        while True:
            count = stream.readinto(memoryview(block)[end:])
            if not count:
                return False
            end += count
            if any(block.find(letter, 0, end) >= 0 for letter in LETTERS) and BOOLEAN.search(block, 0, end):
                return True
            overlap = min(end, LONGEST_BOOLEAN - 1)
            block[:overlap] = block[end - overlap : end]
            end = overlap


def without_empty_booleans(path: str, frame: pd.DataFrame, columns: Columns) -> Columns:
    """Drop optional columns of booleans, lists or objects without any value.

    Raises:
        BadFileError: such a column is required.
    """
    empty = {
        column.name: column
        for column in columns
        if _is_dropped_if_empty(column) and not frame.empty and frame[column.name].isna().all()
    }
    for column in empty.values():
        if column.required:
            raise _bad_value(path, column.name, column.type, 0, None)
    return tuple(column for column in columns if column.name not in empty)


def _is_dropped_if_empty(column: Column) -> bool:
    """Whether an empty column is dropped: MLflow refuses NaN in booleans, and in optional lists or objects."""
    return (column.type == "boolean" or (column.type == ANY and not column.required)) and not column.nullable


def refuse_booleans_as_numbers(path: str, frame: pd.DataFrame, columns: Columns) -> None:
    """Refuse True and False among numbers: pandas reads them as numbers if a whole block of a column has only those.

    MLflow does so only for doubles, some of them missing, the others all booleans.

    Raises:
        BadFileError: naming the first boolean.
    """
    import numpy as np

    from batchtwin_node.readers.csv_file import text_chunks

    suspects = _columns_with_truths(frame, columns)
    mixed = {column.name for column in suspects if column.type == "double" and frame[column.name].hasnans}
    first: dict[str, tuple[int, str]] = {}
    has_others: set[str] = set()
    start = 0
    if suspects:
        with text_chunks(path, suspects, missing=True) as chunks:
            for texts in chunks:
                is_boolean = texts.isin(list(BOOLEANS)).to_numpy()
                for at in np.flatnonzero(is_boolean.any(axis=0)).tolist():
                    row = int(is_boolean[:, at].argmax())
                    first.setdefault(texts.columns[at], (start + row, str(texts.iloc[row, at])))
                if mixed:
                    has_others.update(texts.columns[(~is_boolean & texts.notna().to_numpy()).any(axis=0)])
                if any(name not in mixed or name in has_others for name in first):
                    break
                start += len(texts)
    refused = [column for column in suspects if column.name in first and column.name not in mixed - has_others]
    if refused:
        column = min(refused, key=lambda candidate: first[candidate.name][0])
        raise _bad_value(path, column.name, column.type, *first[column.name])


def _columns_with_truths(frame: pd.DataFrame, columns: Columns) -> Columns:
    """Return the columns of numbers with a value that may have been True or False."""
    numbers = [column for column in columns if column.type in NUMBERS and not column.nullable]
    values = frame[[column.name for column in numbers]]
    has_truth = ((values == 0) | (values == 1)).any()
    return tuple(column for column, has in zip(numbers, has_truth.tolist()) if has)


def _bad_value(path: str, name: str, kind: str, row: int, value: str | None) -> BadFileError:
    from batchtwin_node.readers.csv_locate import line_of

    return BadFileError(path, refusal(kind, value), column=name, row=row, line=line_of(path, row), value=value)


def with_exact_numbers(source: str | IO[str] | IO[bytes], frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Give large whole numbers their exact values, in place. `source` is what the table was read from.

    Raises:
        ValueError: one is no whole number, or out of range.
    """
    import pandas as pd

    names = may_be_rounded(frame, columns)
    if names:
        if not isinstance(source, str):
            source.seek(0)
        texts = pd.read_csv(source, index_col=False, usecols={*names}.__contains__, dtype=str, na_filter=False)
        for name in names:
            frame[name] = _exact(frame[name], texts[name])
    return frame


def may_be_rounded(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Return the columns of whole numbers that pandas may have read as doubles, and rounded: it does so with all values
    if one is written 1.0 or 1e0. Their large numbers are all such that doubles hold.
    """
    import numpy as np

    names = [column.name for column in columns if column.type == "long" and not column.nullable]
    if not names or not len(frame):
        return []
    values = frame.to_numpy() if len(names) == len(frame.columns) else frame[names].to_numpy()
    if values.max() < INEXACT and values.min() > -INEXACT:
        return []
    is_large = (values >= INEXACT) | (values <= -INEXACT)
    with np.errstate(all="ignore"):
        is_double = values.astype("float64").astype("int64") == values
    return [name for at, name in enumerate(names) if is_large[:, at].any() and is_double[is_large[:, at], at].all()]


def _exact(values: pd.Series[int], texts: pd.Series[str]) -> pd.Series[int]:
    """Return whole numbers with the values that are written. Shapes: (n,), (n,).

    Raises:
        ValueError: a large one is no whole number, or out of range.
    """
    import numpy as np

    exact = values.to_numpy(copy=True)
    low, high = map(Decimal, RANGES["long"])
    for at in np.flatnonzero((exact >= INEXACT) | (exact <= -INEXACT)):
        number = decimal_of(texts.iloc[at])
        if number is None or not low <= number <= high or number != number.to_integral_value():
            raise ValueError(f"not a whole number: {quote(texts.iloc[at])}")
        exact[at] = int(number)
    return type(values)(exact, index=values.index)


def has_plain_lines(source: str | IO[str] | IO[bytes], width: int) -> bool:
    """Whether each line of a file that is not tall has at most `width` fields: pandas does not check that."""
    if isinstance(source, str):
        with open(source, "rb") as stream:
            return os.fstat(stream.fileno()).st_size < BYTES_PER_COLUMN * width and _are_plain(stream, width)
    plain = isinstance(source, BytesIO) and _are_plain(source, width)
    if not isinstance(source, str):
        source.seek(0)
    return plain


def _are_plain(lines: IO[bytes], width: int) -> bool:
    return not any(b'"' in line or b"\r" in line[:-2] or line.count(b",") >= width for line in lines)
