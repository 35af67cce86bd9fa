"""A CSV file -> a typed table. The fast path is one typed read; only a failure is looked into (csv_locate.py)."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Union

from batchtwin_node.readers.bad_file import BadFileError, kind_of, summarize, unreadable
from batchtwin_node.readers.columns import (
    ABSENT_IF_EMPTY,
    BOOLEANS,
    NUMBERS,
    PANDAS,
    WIDER,
    convert,
    refusal,
    wraps_numbers,
)
from batchtwin_node.readers.file_kind import CSV
from batchtwin_node.readers.signature import ANY, Column, Columns, Signature

if TYPE_CHECKING:
    from typing import Literal

    import numpy as np
    import pandas as pd
    from pandas.io.parsers import TextFileReader

    Dtype = Union[np.dtype[Any], pd.api.extensions.ExtensionDtype]

CHUNK_ROWS = 50_000
LONGEST_HEADER = 1 << 16
SMALL = 1 << 20
BOOLEAN = re.compile("|".join(sorted(BOOLEANS)).encode())


@lru_cache(maxsize=None)
def refusals() -> tuple[type[Exception], ...]:
    """Return what pandas raises for a text that is no table, or a value that is not of its type."""
    import pandas as pd

    return ValueError, TypeError, OverflowError, pd.errors.ParserWarning, RuntimeWarning, csv.Error


@lru_cache(maxsize=None)
def _dtypes() -> dict[str, Dtype]:
    """As objects: pandas takes longer to find out what a name means than to read a short column."""
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
        from batchtwin_node.readers.csv_locate import explain

        raise explain(path, columns, summarize(error)) from None


def _names(path: str) -> Sequence[str]:
    """Return the names of a file's columns. Files of one input mostly have one header: it is parsed once."""
    with open(path, "rb") as stream:
        line = stream.readline(LONGEST_HEADER)
    # Blank lines, quoted newlines and lone carriage returns are left to pandas.
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

    return tuple(pd.read_csv(BytesIO(line), index_col=False, dtype=str).columns)


def _head(path: str) -> pd.DataFrame:
    """Return header and first row, as text."""
    import pandas as pd

    return pd.read_csv(path, index_col=False, nrows=1, dtype=str)


@contextmanager
def strictly() -> Iterator[None]:
    """Make errors of what pandas only warns of: rows cut to the header's length, numbers too large for their type."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        warnings.filterwarnings("error", ".* encountered in cast", RuntimeWarning)
        # Of columns that nobody typed: pandas says that it saw numbers and texts.
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        yield


def typed(source: str | IO[str] | IO[bytes], columns: Columns, found: Iterable[str] = ()) -> pd.DataFrame:
    """Read with types. `found`: all columns of the file.

    Those beyond `columns` are read too: only so does pandas notice rows that are too long.
    """
    import pandas as pd

    # pandas gives `a.1`, the second column called `a`, the type that is asked for `a`.
    names_found = set(found)
    twins = {name: _dtypes()["string"] for name in names_found if name.rpartition(".")[0] in names_found}
    frame = pd.read_csv(source, index_col=False, dtype={**twins, **dtypes(columns)})
    names = [column.name for column in columns]
    # Unlike `frame[names]`, pandas below 3 does not take this for a view, of whose changes it warns.
    return convert(frame if names == list(frame.columns) else frame.loc[:, names], columns)


def typed_chunks(path: str, columns: Columns) -> TextFileReader:
    """Read with types, a chunk at a time, and leniently: only a wrong type fails."""
    return chunks(path, columns, dtypes(columns))


def text_chunks(path: str, columns: Columns, missing: bool) -> TextFileReader:
    """Read the texts of the same chunks; `missing`: see missing values as such."""
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
    """What pandas is told about the columns' types."""
    known = _dtypes()
    return {column.name: known["string" if column.nullable else column.type] for column in columns if _is_typed(column)}


def _is_typed(column: Column) -> bool:
    return column.nullable or column.type in PANDAS


def _read_typed(path: str, names: Sequence[str], columns: Columns) -> pd.DataFrame:
    """`names`: all columns of the file."""
    try:
        frame = typed(path, columns, names)
    except refusals():
        kept = _without_empty(path, columns)
        if kept == columns:
            raise
        columns = kept
        frame = typed(path, columns, names)
    kept = _without_empty_booleans(path, frame, columns)
    if not frame.empty and _may_hold_booleans(path):
        _refuse_booleans_as_numbers(path, frame, kept)
    return frame if kept == columns else frame[[column.name for column in kept]]


def _may_hold_booleans(path: str) -> bool:
    """A quick no for small files; looking through a large one would cost more than what it saves."""
    with open(path, "rb") as stream:
        start = stream.read(SMALL + 1)
    return len(start) > SMALL or BOOLEAN.search(start) is not None


def _without_empty(path: str, columns: Columns) -> Columns:
    """Drop optional columns without any value: empty is as good as absent, and MLflow takes only that [R]."""
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


def _without_empty_booleans(path: str, frame: pd.DataFrame, columns: Columns) -> Columns:
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


def _refuse_booleans_as_numbers(path: str, frame: pd.DataFrame, columns: Columns) -> None:
    """pandas reads a column of nothing but True and False as numbers, if numbers are asked for.

    MLflow does so only for doubles, some of them missing.
    """
    import numpy as np
    import pandas as pd

    head = _head(path)
    for column in columns:
        if column.type not in NUMBERS or column.nullable:
            continue
        if column.type == "double" and frame[column.name].hasnans:
            continue
        row, text = 0, head[column.name].iloc[0]
        if pd.isna(text):
            there = np.flatnonzero(frame[column.name].notna())[:1]
            if not there.size or frame[column.name].iloc[there[0]] not in (0, 1):
                continue
            row = int(there[0])
            text = pd.read_csv(path, index_col=False, nrows=row + 1, usecols=[column.name], dtype=str).iloc[row, 0]
        if text in BOOLEANS:
            raise _bad_value(path, column.name, column.type, row, str(text))


def _bad_value(path: str, name: str, kind: str, row: int, value: str | None) -> BadFileError:
    from batchtwin_node.readers.csv_locate import line_of

    return BadFileError(path, refusal(kind, value), column=name, row=row, line=line_of(path, row), value=value)
