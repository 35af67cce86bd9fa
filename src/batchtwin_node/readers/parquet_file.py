"""A Parquet file -> a typed table: only the columns that the signature names, cast where that is safe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from batchtwin_node.readers.arrow import OLDEST, has_arrow
from batchtwin_node.readers.bad_file import BadFileError, unreadable, unreadable_parquet
from batchtwin_node.readers.columns import (
    ABSENT_IF_EMPTY,
    NO_NUMBER,
    NUMBER,
    NUMBERS,
    WHOLE,
    WHOLE_NUMBER,
    arrow_type,
    out_of_range,
    refusal,
    times,
)
from batchtwin_node.readers.csv_locate import first_refused
from batchtwin_node.readers.nullable import with_none
from batchtwin_node.readers.signature import ANY, Column, Columns, Signature

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

NO_ARROW = (
    f"Parquet files need pyarrow {OLDEST} or later, which the deployment's environment does not have: add pyarrow to it"
)


def read(path: str, signature: Signature | None, groups: Sequence[int] | None = None) -> pd.DataFrame:
    """Read a Parquet file, or some row groups of it. Without signature it is what `pandas.read_parquet(path)` gives.

    Raises:
        BadFileError: naming column, row and value where one is to blame.
    """
    if not has_arrow():
        return _read_without_arrow(path, signature)
    import pyarrow as pa

    try:
        with _opened(path) as file:
            names = file.schema_arrow.names
            columns = signature.in_table(path, names) if signature else None
            if columns is None:
                return _to_pandas(file.read())
            _refuse_twins(path, names, columns)
            wanted = [column.name for column in columns]
            table = file.read(wanted) if groups is None else file.read_row_groups(groups, wanted)
    except FileNotFoundError as error:
        raise unreadable(path, error) from None
    except (pa.ArrowException, OSError) as error:
        raise unreadable_parquet(path, error) from None
    present = [column for column in columns if not _is_as_good_as_absent(table[column.name], column)]
    arrays = [_typed(path, table[column.name], column) for column in present]
    frame = _to_pandas(pa.table(arrays, names=[column.name for column in present]))
    for column, array in zip(present, arrays):
        if column.nullable:
            frame[column.name] = with_none(array.to_pandas(integer_object_nulls=True))
    return frame


def _read_without_arrow(path: str, signature: Signature | None) -> pd.DataFrame:
    if find_spec("fastparquet") is None:
        raise BadFileError(path, NO_ARROW)
    from batchtwin_node.readers import parquet_pandas

    return parquet_pandas.read(path, signature)


@contextmanager
def _opened(path: str) -> Iterator[pq.ParquetFile]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    try:
        yield file
    finally:
        if hasattr(file, "close"):  # pyarrow below 9 closes it with the last reference
            file.close()


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _refuse_twins(path: str, names: list[str], columns: Columns) -> None:
    counts = Counter(names)
    for column in columns:
        if counts[column.name] > 1:
            raise BadFileError(path, "more than one column has this name: rename the others", column=column.name)


def _is_as_good_as_absent(values: pa.ChunkedArray, column: Column) -> bool:
    empty = len(values) > 0 and values.null_count == len(values)
    return not column.required and column.type in ABSENT_IF_EMPTY and not column.nullable and empty


def _typed(path: str, values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Cast one column to its type, if that keeps the meaning of its values."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types as of

    if column.type == ANY:
        return values
    if of.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if column.nullable and of.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)  # as pandas writes such a column
    if of.is_boolean(values.type) and column.type == "double" and values.null_count:
        values = values.cast(pa.int8())  # as MLflow does, only then
    _refuse_missing(path, values, column)
    if values.type == arrow_type(column.type):
        return values
    if _goes_through(values.type, column.type):
        return values
    if not _may_be(values.type, column.type):
        problem = f"the model's signature asks for {column.type}; the file has {values.type}: convert the column"
        raise BadFileError(path, problem, column=column.name)
    try:
        return _cast(values, column.type)
    except (pa.ArrowException, ValueError):
        row = first_refused(len(values), _accepts(values, column.type)) or 0
        value = _text_of(values[row])
        # A time of Arrow's is valid, even if Python has none like it.
        explain = out_of_range if of.is_temporal(values.type) else refusal
        raise BadFileError(path, explain(column.type, value), column=column.name, row=row, value=value) from None


def _text_of(value: pa.Scalar) -> str:
    """Return a value as Python writes it; as a number if Python has no such time."""
    try:
        return str(value.as_py())
    except (ValueError, OverflowError):
        return f"{value.value} ({value.type})"


def _refuse_missing(path: str, values: pa.ChunkedArray, column: Column) -> None:
    import pyarrow.compute as pc
    from pyarrow import types as of

    if column.nullable:
        return
    if column.type in WHOLE or (column.type == "boolean" and values.null_count == len(values)):
        nan = column.type in WHOLE and of.is_floating(values.type)
        row = pc.index(pc.is_null(values, nan_is_null=nan), True).as_py()
        if row >= 0:
            raise BadFileError(path, refusal(column.type, None), column=column.name, row=row)


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types as of

    is_view = hasattr(of, "is_string_view") and of.is_string_view(kind)
    return bool(of.is_string(kind) or of.is_large_string(kind) or is_view)


def _is_bytes(kind: pa.DataType) -> bool:
    from pyarrow import types as of

    return bool(of.is_binary(kind) or of.is_large_binary(kind) or of.is_fixed_size_binary(kind))


def _goes_through(kind: pa.DataType, type_name: str) -> bool:
    """Whether MLflow takes the type unchanged: for strings any pandas object, for binary also texts."""
    from pyarrow import types as of

    if type_name == "string":
        return bool(
            _is_bytes(kind) or of.is_decimal(kind) or of.is_date(kind) or of.is_time(kind) or of.is_nested(kind)
        )
    return type_name == "binary" and (_is_text(kind) or _is_bytes(kind))


def _may_be(kind: pa.DataType, type_name: str) -> bool:
    """Whether values of an Arrow type can be values of an MLflow type at all."""
    from pyarrow import types as of

    if of.is_null(kind):
        return True
    if type_name in NUMBERS:
        return bool(of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind) or _is_text(kind))
    if type_name == "datetime":
        return bool(of.is_timestamp(kind) or of.is_date(kind) or _is_text(kind))
    return bool(of.is_boolean(kind)) if type_name == "boolean" else type_name == "string" and _is_text(kind)


def _cast(values: pa.ChunkedArray, type_name: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = arrow_type(type_name)
    if type_name == "datetime" and _is_text(values.type):
        return pa.chunked_array([pa.array(times(values.to_pandas()), kind)])
    if type_name in NUMBERS and _is_text(values.type):
        values = _plain_numbers(values, type_name)
    cast = values.cast(kind)
    # Arrow turns a double that no float holds into infinity.
    if type_name == "float" and pc.any(pc.is_inf(cast)).as_py() and _infinities(cast) != _infinities(values):
        raise ValueError("out of range")
    return cast


def _infinities(values: pa.ChunkedArray) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.sum(pc.is_inf(values.cast(pa.float64()))).as_py() or 0


def _plain_numbers(values: pa.ChunkedArray, type_name: str) -> pa.ChunkedArray:
    """Return texts that are numbers in a CSV file in Arrow's form: it accepts no blanks and no plus, but 0x1F."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = values.cast(pa.large_string())
    pattern = WHOLE_NUMBER if type_name in WHOLE else f"{NUMBER}|{NO_NUMBER}"
    if pc.min(pc.match_substring_regex(texts, pattern=pattern)).as_py() is False:
        raise ValueError("not a number")
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), pattern=r"^\+", replacement="")


def _accepts(values: pa.ChunkedArray, type_name: str) -> Callable[[int, int], bool]:
    import pyarrow as pa

    def accepts(low: int, high: int) -> bool:
        try:
            _cast(values[low:high], type_name)
        except (pa.ArrowException, ValueError):
            return False
        return True

    return accepts
