"""file ending -> reader. A reader types the data by the model's signature while it reads.

A new format is one function with `@reader(...)` and one test. pandas and pyarrow are imported by the reader
that needs them, so that the parent can ask which endings there are.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, cast

from batchtwin.scoring.bad_file import BadFileError
from batchtwin.scoring.columns import NEVER_MISSING, PANDAS, Column, arrow_type, convert, refusal, wrong_text
from batchtwin.spec.inputs import ending

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Columns = tuple[Column, ...]
Reader = Callable[[str, Columns | None], "pd.DataFrame"]
_READERS: dict[str, Reader] = {}
LOCATE_ROWS = 50_000


def reader(*endings: str) -> Callable[[Reader], Reader]:
    """Register a reader for file endings, in lower case with their dot."""

    def register(function: Reader) -> Reader:
        _READERS.update(dict.fromkeys(endings, function))
        return function

    return register


def endings() -> tuple[str, ...]:
    """Every ending that has a reader."""
    return tuple(_READERS)


def read(path: str, columns: Columns | None) -> pd.DataFrame:
    """Read one file as a table, typed by `columns`; without them the types are pandas' own.

    Raises:
        BadFileError: a column is missing or a value is not of its type, named with column, row and value.
    """
    return _READERS[ending(path)](path, columns)


def _present(path: str, found: Sequence[str], columns: Columns) -> Columns:
    """Return the signature's columns that the file has; extra ones are dropped, as MLflow does."""
    missing = [column.name for column in columns if column.required and column.name not in found]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        there = ", ".join(found)
        problem = f"missing column{'s' * (len(missing) > 1)} {names}; the file has {there}: add what is missing"
        raise BadFileError(path, problem, column=missing[0])
    return tuple(column for column in columns if column.name in found)


@reader(".csv")
def read_csv(path: str, columns: Columns | None) -> pd.DataFrame:
    """Read a CSV file with a header line, UTF-8."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # pandas would cut rows that are longer than the header, and only warn.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            if columns is None:
                return pd.read_csv(path, index_col=False)
            header = list(pd.read_csv(path, index_col=False, nrows=0).columns)
            there = _without_empty(path, _present(path, header, columns))
            names = [column.name for column in there]
            dtypes = {column.name: PANDAS[column.type] for column in there}
            frame = pd.read_csv(path, index_col=False, usecols=names, dtype=dtypes)
            return convert(frame[names], there)
    except (ValueError, TypeError, OverflowError, pd.errors.ParserWarning) as error:
        raise _locate_in_csv(path, columns) or BadFileError(path, _first_line(error)) from None


def _without_empty(path: str, columns: Columns) -> Columns:
    """Drop optional columns without any value: empty is as good as absent, and MLflow takes only that [R]."""
    import pandas as pd

    doubtful = [column.name for column in columns if not column.required and column.type in NEVER_MISSING]
    if not doubtful:
        return columns
    texts = pd.read_csv(path, index_col=False, usecols=doubtful, dtype=str)
    empty = {name for name in doubtful if texts[name].isna().all()}
    return tuple(column for column in columns if column.name not in empty)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _locate_in_csv(path: str, columns: Columns | None) -> BadFileError | None:
    """Find the first value that the signature refuses, a chunk of text at a time; None if it is no value's fault."""
    import pandas as pd

    if columns is None:
        return None
    names = {column.name for column in columns}
    try:
        with (
            pd.read_csv(
                path, index_col=False, usecols=names.__contains__, dtype=str, na_filter=False, chunksize=LOCATE_ROWS
            ) as raw,
            pd.read_csv(path, index_col=False, usecols=names.__contains__, dtype=str, chunksize=LOCATE_ROWS) as read,
        ):
            for texts, values in zip(raw, read, strict=True):
                found = _first_wrong(texts, values.isna(), columns)
                if found:
                    column, row = found
                    value = None if values[column.name].isna()[row] else str(texts[column.name][row])
                    problem, line = refusal(column.type, value), _line_of(path, row)
                    return BadFileError(path, problem, column=column.name, row=row, line=line, value=value)
    except (ValueError, csv.Error):
        return None  # not even text in rows: the caller has the parser's own words
    return None


def _first_wrong(texts: pd.DataFrame, missing: pd.DataFrame, columns: Columns) -> tuple[Column, int] | None:
    wrong = [
        (cast(int, refused.idxmax()), column)
        for column in columns
        if column.name in texts and (refused := wrong_text(texts[column.name], missing[column.name], column.type)).any()
    ]
    row, column = min(wrong, key=lambda pair: pair[0], default=(0, None))
    return (column, row) if column else None


def _line_of(path: str, row: int) -> int:
    """Return the line, from 1, on which record `row` ends: blank lines and quoted newlines count."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        records = csv.reader(stream)
        filled = (records.line_num for record in records if record)
        return next(islice(filled, row + 1, None))


@reader(".parquet", ".pqt")
def read_parquet(path: str, columns: Columns | None) -> pd.DataFrame:
    """Read a Parquet file, only the columns that the signature names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if columns is None:
                return _to_pandas(file.read())
            there = _present(path, file.schema_arrow.names, columns)
            table = file.read(columns=[column.name for column in there])
    except (pa.ArrowException, OSError) as error:
        raise BadFileError(path, f"not a readable Parquet file: {_first_line(error)}") from None
    kept = [column for column in there if column.required or table[column.name].null_count < max(1, table.num_rows)]
    arrays = [_typed(path, table[column.name], column) for column in kept]
    return _to_pandas(pa.table(arrays, names=[column.name for column in kept]))


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _typed(path: str, values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Cast one column to its type, if that loses nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = arrow_type(column.type)
    if column.type in NEVER_MISSING and values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise BadFileError(path, refusal(column.type, None), column=column.name, row=row)
    try:
        return values.cast(kind)
    except pa.ArrowException:
        row = next(row for row, value in enumerate(values) if _refuses(value, kind))
        value = str(values[row].as_py())
        raise BadFileError(path, refusal(column.type, value), column=column.name, row=row, value=value) from None


def _refuses(value: pa.Scalar, kind: pa.DataType) -> bool:
    import pyarrow as pa

    try:
        value.cast(kind)
    except pa.ArrowException:
        return True
    return False
