"""What pandas does not look for in a CSV file: booleans among numbers, empty columns, rows that are too long."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from itertools import islice
from typing import IO, TYPE_CHECKING

from batchtwin_node.readers.bad_file import BadFileError, shown
from batchtwin_node.readers.columns import BOOLEANS, NUMBERS, RANGES, decimal_of, refusal
from batchtwin_node.readers.signature import ANY, Column, Columns

if TYPE_CHECKING:
    import pandas as pd

SMALL = 1 << 20
# A file is tall beyond so many bytes for each column.
BYTES_PER_COLUMN = 4096
# From here on a double holds some whole numbers only; smaller ones are exact.
INEXACT = 2**53
BOOLEAN = re.compile("|".join(sorted(BOOLEANS)).encode())


def may_hold_booleans(path: str) -> bool:
    """A quick no for small files; looking through a large one would cost more than what it saves."""
    with open(path, "rb") as stream:
        start = stream.read(SMALL + 1)
    return len(start) > SMALL or BOOLEAN.search(start) is not None


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
    """MLflow refuses NaN in columns of booleans, and in optional ones of lists or objects."""
    return (column.type == "boolean" or (column.type == ANY and not column.required)) and not column.nullable


def refuse_booleans_as_numbers(path: str, names: Sequence[str], frame: pd.DataFrame, columns: Columns) -> None:
    """pandas reads a column of nothing but True and False as numbers, if numbers are asked for.

    MLflow does so only for doubles, some of them missing. `names`: all columns of the file.

    Raises:
        BadFileError: naming the first boolean.
    """
    import pandas as pd

    texts = dict(zip(names, _record(path, 0)))
    missing = dict(zip(frame.columns, pd.isna(frame.iloc[:1].to_numpy())[0]))
    later: dict[int, list[Column]] = {}
    for column in columns:
        if (
            column.type not in NUMBERS
            or column.nullable
            or not (missing[column.name] or texts.get(column.name) in BOOLEANS)
        ):
            continue
        if column.type == "double" and frame[column.name].hasnans:
            continue
        row = _first_truth(frame[column.name])
        if row is not None:
            later.setdefault(row, []).append(column)
    for row in sorted(later):
        texts = dict(zip(names, _record(path, row)))
        for column in later[row]:
            if texts.get(column.name) in BOOLEANS:
                raise _bad_value(path, column.name, column.type, row, texts[column.name])


def _first_truth(values: pd.Series[float]) -> int | None:
    """Return the row of the first value, if it may be a boolean; None if there is none."""
    import numpy as np

    rows = np.flatnonzero(values.notna())[:1]
    return int(rows[0]) if rows.size and values.iloc[rows[0]] in (0, 1) else None


def _record(path: str, row: int) -> Sequence[str]:
    """Return the texts of a record; as pandas sees them where the csv module gives up."""
    import pandas as pd

    from batchtwin_node.readers.csv_locate import records

    try:
        return next(islice(records(path), row + 1, None)).texts
    except (csv.Error, StopIteration):
        return list(pd.read_csv(path, index_col=False, nrows=row + 1, dtype=str).iloc[row])


def _bad_value(path: str, name: str, kind: str, row: int, value: str | None) -> BadFileError:
    from batchtwin_node.readers.csv_locate import line_of

    return BadFileError(path, refusal(kind, value), column=name, row=row, line=line_of(path, row), value=value)


def with_exact_numbers(source: str | IO[str] | IO[bytes], frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Have large whole numbers as they are written, in place. `source` is what the table was read from.

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
    """Return the columns of whole numbers that pandas may have read as doubles, and rounded: of all values, if one is
    written 1.0 or 1e0. Their large numbers are all such that doubles hold."""
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
    """Return whole numbers as they are written. Shapes: (n,), (n,).

    Raises:
        ValueError: a large one is no whole number, or out of range.
    """
    import numpy as np

    exact = values.to_numpy(copy=True)
    low, high = map(Decimal, RANGES["long"])
    for at in np.flatnonzero((exact >= INEXACT) | (exact <= -INEXACT)):
        number = decimal_of(texts.iloc[at])
        if number is None or not low <= number <= high or number != number.to_integral_value():
            raise ValueError(f"not a whole number: {shown(texts.iloc[at])}")
        exact[at] = int(number)
    return type(values)(exact, index=values.index)


def is_plain(source: str | IO[str] | IO[bytes], width: int) -> bool:
    """Whether each line of a file that is not tall is a record of `width` fields at most: pandas does not look then."""
    if isinstance(source, str):
        with open(source, "rb") as stream:
            return os.fstat(stream.fileno()).st_size < BYTES_PER_COLUMN * width and _are_plain(stream, width)
    plain = isinstance(source, BytesIO) and _are_plain(source, width)
    if not isinstance(source, str):
        source.seek(0)
    return plain


def _are_plain(lines: IO[bytes], width: int) -> bool:
    return not any(b'"' in line or b"\r" in line[:-2] or line.count(b",") >= width for line in lines)
