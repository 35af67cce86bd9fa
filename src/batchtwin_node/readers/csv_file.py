"""A CSV file -> a typed table. The fast path is one typed read; only a failure is examined (csv_locate.py)."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Union

from batchtwin_node.readers.bad_file import BadFileError, kind_of, summarize, unreadable
from batchtwin_node.readers.columns import ABSENT_IF_EMPTY, NUMBERS, PANDAS, WIDER, convert, wraps_numbers
from batchtwin_node.readers.csv_checks import (
    has_plain_lines,
    may_hold_booleans,
    refuse_booleans_as_numbers,
    with_exact_numbers,
    without_empty_booleans,
)
from batchtwin_node.readers.file_kind import CSV
from batchtwin_node.readers.signature import Column, Columns, Signature

if TYPE_CHECKING:
    from typing import Literal

    import numpy as np
    import pandas as pd
    from pandas.io.parsers import TextFileReader

    Dtype = Union[np.dtype[Any], pd.api.extensions.ExtensionDtype]

CHUNK_ROWS = 50_000
LONGEST_HEADER = 1 << 22
# A table with so many columns is wide; then at least this share of them has one type.
WIDE, MOST = 100, 0.8
FEW = 20


@lru_cache(maxsize=None)
def refusals() -> tuple[type[Exception], ...]:
    """Return the errors that pandas raises for a text that is no table, or a value of another type."""
    import pandas as pd

    return ValueError, TypeError, OverflowError, pd.errors.ParserWarning, RuntimeWarning, csv.Error


@lru_cache(maxsize=None)
def _dtypes() -> dict[str, Dtype]:
    """Return the dtypes as objects: pandas parses a dtype's name more slowly than it reads a short column."""
    import pandas as pd

    dtypes = {name: pd.api.types.pandas_dtype(text) for name, text in PANDAS.items()}
    if wraps_numbers():
        dtypes.update({name: dtypes[wide] for name, wide in WIDER.items()})
    return dtypes


def read(path: str, signature: Signature | None) -> pd.DataFrame:
    """Read a CSV file. Without signature the types are pandas' own, as in `pandas.read_csv(path)`.

    Raises:
        BadFileError: naming column, row and value where one is to blame.
    """
    import pandas as pd

    columns: Columns | None = None
    try:
        with strictly():
            if signature is None:
                return pd.read_csv(path, index_col=False)
            names = _names(path)
            columns = signature.in_table(path, names)
            if columns is None:
                return pd.read_csv(path, index_col=False)
            return _read_typed(path, names, columns)
    except OSError as error:
        raise unreadable(path, error) from None
    except BadFileError as error:
        kind = kind_of(path, CSV)
        raise (BadFileError(path, kind) if kind else error) from None
    except refusals() as error:
        from batchtwin_node.readers.csv_locate import explain_refusal

        raise explain_refusal(path, columns, summarize(error)) from None


def _names(path: str) -> Sequence[str]:
    """Return the names of a file's columns. Files of one input mostly share a header, which is parsed once."""
    with open(path, "rb") as stream:
        line = stream.readline(LONGEST_HEADER)
    # pandas handles blank lines, quoted newlines and lone carriage returns.
    if (
        line.strip()
        and line.endswith(b"\n")
        and b'"' not in line
        and b"\r" not in (line[:-2] if line.endswith(b"\r\n") else line)
    ):
        return names_in(line)
    return list(_head(path).columns)


@lru_cache(maxsize=64)
def names_in(line: bytes) -> Sequence[str]:
    """Return the columns' names as pandas has them, from the text of a header line."""
    import pandas as pd

    names = tuple(line.decode("utf-8-sig", "surrogateescape").rstrip("\r\n").split(","))
    # pandas gives names to columns that have none, or the name of another.
    if b'"' not in line and all(names) and len(set(names)) == len(names) and _is_clean(names):
        return names
    return tuple(pd.read_csv(BytesIO(line), index_col=False, dtype=str).columns)


def _is_clean(names: Sequence[str]) -> bool:
    return "".join(names).isprintable()


def _head(path: str) -> pd.DataFrame:
    """Return header and first row, as text."""
    import pandas as pd

    return pd.read_csv(path, index_col=False, nrows=1, dtype=str)


@contextmanager
def strictly() -> Iterator[None]:
    """Turn pandas' warnings into errors: rows cut to the header's length, numbers too large for their type."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        warnings.filterwarnings("error", ".* encountered in cast", RuntimeWarning)
        # For columns without a type: pandas reports numbers and texts in one column.
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        yield


def read_typed(source: str | IO[str] | IO[bytes], columns: Columns, header: Sequence[str] = ()) -> pd.DataFrame:
    """Read with types. `header`: all columns of the file.

    Those not in `columns` are read too: only then does pandas notice rows that are too long.
    """
    names = [column.name for column in columns]
    frame = _of_common_dtype(source, columns, header)
    if frame is None:
        frame = _of_own_dtypes(source, columns, header)
    # Unlike `frame[names]`, pandas below 3 does not take this for a view, and does not warn of changes to it.
    frame = convert(frame if names == list(frame.columns) else frame.loc[:, names], columns)
    return with_exact_numbers(source, frame, columns)


def _of_common_dtype(source: str | IO[str] | IO[bytes], columns: Columns, names: Sequence[str]) -> pd.DataFrame | None:
    """Read a wide table in which one type of numbers prevails: pandas takes twice as long if told each type.

    The other columns are read separately. None if the table is no such table, or if that fails.
    """
    import pandas as pd

    common = _common_type(columns, names)
    # A second read costs less than types of many columns, if the file is not tall.
    if common is None or not has_plain_lines(source, len(names)):
        return None
    others = tuple(column for column in columns if column.type != common or column.nullable)
    majority = {column.name for column in columns}.difference(column.name for column in others)
    usecols = None if len(majority) == len(names) else majority.__contains__
    try:
        frame = _in_one_block(pd.read_csv(source, index_col=False, usecols=usecols, dtype=_dtypes()[common]))
        if others:
            _rewind(source)
            rest = pd.read_csv(source, index_col=False, usecols={*dtypes(others)}.__contains__, dtype=dtypes(others))
            frame = _joined(frame, rest, columns)
    except refusals():
        return None
    finally:
        _rewind(source)
    return frame


def _in_one_block(frame: pd.DataFrame) -> pd.DataFrame:
    """Put columns of one type into one array: pandas 3 makes an array for each, which slows everything down."""
    import pandas as pd

    return pd.DataFrame(frame.to_numpy(), index=frame.index, columns=frame.columns, copy=False)


def _joined(frame: pd.DataFrame, rest: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Insert the columns of `rest` at their places: few are inserted, and a new order of all would take longer."""
    import pandas as pd

    if len(rest.columns) > FEW:
        return pd.concat([frame, rest], axis=1)
    names = set(rest.columns)
    for at, column in enumerate(columns):
        if column.name in names:
            frame.insert(at, column.name, rest[column.name])
    return frame


def _common_type(columns: Columns, names: Sequence[str]) -> str | None:
    """Return the type of numbers that most columns of a wide table have."""
    if len(names) < WIDE:
        return None
    counts = Counter(column.type for column in columns if not column.nullable).most_common(1)
    others = sum(not _is_typed(column) for column in columns)
    names_found = set(names)
    if not counts or others or any(name.rpartition(".")[0] in names_found for name in names_found):
        return None
    [(kind, count)] = counts
    return kind if kind in NUMBERS and count >= MOST * len(columns) else None


def _rewind(source: str | IO[str] | IO[bytes]) -> None:
    if not isinstance(source, str):
        source.seek(0)


def _of_own_dtypes(source: str | IO[str] | IO[bytes], columns: Columns, names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    # pandas gives `a.1`, the second column called `a`, the type that is requested for `a`.
    names_found = set(names)
    twins = {name: _dtypes()["string"] for name in names_found if name.rpartition(".")[0] in names_found}
    return pd.read_csv(source, index_col=False, dtype={**twins, **dtypes(columns)})


def typed_chunks(path: str, columns: Columns) -> TextFileReader:
    """Read with types, a chunk at a time, and leniently: only a wrong type fails."""
    return chunks(path, columns, dtypes(columns))


def text_chunks(path: str, columns: Columns, missing: bool) -> TextFileReader:
    """Read the texts of the same chunks; `missing`: recognise missing values."""
    return chunks(path, columns, "str", na_filter=missing)


def chunks(
    path: str, columns: Columns, dtype: Mapping[str, Dtype] | Literal["str"], na_filter: bool = True
) -> TextFileReader:
    """Read some columns, a chunk at a time."""
    import pandas as pd

    names = {column.name for column in columns}
    return pd.read_csv(
        path,
        index_col=False,
        usecols=names.__contains__,
        dtype=dtype,
        na_filter=na_filter,
        chunksize=CHUNK_ROWS,
        encoding_errors="replace",
    )


def dtypes(columns: Columns) -> dict[str, Dtype]:
    """Return the dtypes for pandas."""
    types = _dtypes()
    return {column.name: types["string" if column.nullable else column.type] for column in columns if _is_typed(column)}


def _is_typed(column: Column) -> bool:
    return column.nullable or column.type in PANDAS


def _read_typed(path: str, names: Sequence[str], columns: Columns) -> pd.DataFrame:
    """Read with types; `names` are all columns of the file."""
    try:
        frame = read_typed(path, columns, names)
    except refusals():
        present = _without_empty(path, columns)
        if present == columns:
            raise
        columns = present
        frame = read_typed(path, columns, names)
    present = without_empty_booleans(path, frame, columns)
    if not frame.empty and may_hold_booleans(path):
        refuse_booleans_as_numbers(path, frame, present)
    return frame if present == columns else frame[[column.name for column in present]]


def _without_empty(path: str, columns: Columns) -> Columns:
    """Drop optional columns without any value: for MLflow an empty column has to be absent [R]."""
    doubtful = tuple(
        column for column in columns if not column.required and column.type in ABSENT_IF_EMPTY and not column.nullable
    )
    empty = {column.name for column in doubtful}
    if empty:
        with text_chunks(path, doubtful, missing=True) as texts:
            for chunk in texts:
                empty -= {name for name in empty if chunk[name].notna().any()}
                if not empty:
                    break
    return tuple(column for column in columns if column.name not in empty)
