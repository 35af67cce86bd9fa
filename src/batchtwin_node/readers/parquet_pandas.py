"""A Parquet file -> a typed table by fastparquet, without Arrow: the rules of parquet_file.py, in pandas."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchtwin_node.readers.bad_file import BadFileError, unreadable, unreadable_parquet
from batchtwin_node.readers.columns import (
    ABSENT_IF_EMPTY,
    NO_NUMBER,
    NUMBER,
    NUMBERS,
    PANDAS,
    WHOLE,
    WHOLE_NUMBER,
    out_of_range,
    refusal,
    times,
)
from batchtwin_node.readers.csv_locate import first_refused
from batchtwin_node.readers.nullable import with_none
from batchtwin_node.readers.signature import ANY, Column, Signature

if TYPE_CHECKING:
    import pandas as pd


def read(path: str, signature: Signature | None) -> pd.DataFrame:
    """Read a Parquet file.

    Raises:
        BadFileError: naming column, row and value where one is to blame.
    """
    import fastparquet
    import pandas as pd

    try:
        os.stat(path)  # fastparquet would call a missing file a folder without files
        file = fastparquet.ParquetFile(path)
        columns = signature.in_table(path, list(file.columns)) if signature else None
        if columns is None:
            whole: pd.DataFrame = file.to_pandas()
            return whole
        frame = file.to_pandas(columns=[column.name for column in columns], index=False)
    except BadFileError:
        raise
    except FileNotFoundError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # broken files make its decoders raise anything
        raise unreadable_parquet(path, error) from None
    present = [column for column in columns if not _is_as_good_as_absent(frame[column.name], column)]
    return pd.DataFrame({column.name: _typed(path, frame[column.name], column) for column in present})


def _is_as_good_as_absent(values: pd.Series[Any], column: Column) -> bool:
    if column.required or column.nullable or column.type not in ABSENT_IF_EMPTY:
        return False
    return len(values) > 0 and bool(values.isna().all())


def _typed(path: str, values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    """Cast one column to its type, if that keeps the meaning of its values."""
    if column.type == ANY:
        return values
    if column.nullable:
        values = values.reset_index(drop=True)
        present = _typed(path, values[values.notna()], replace(column, nullable=False))
        return with_none(present.astype(object).reindex(values.index))
    if values.dtype.name == "category":
        values = values.astype(values.cat.categories.dtype)
    family = _family(values)
    missing = values.isna()
    if missing.any() and (column.type in WHOLE or (column.type == "boolean" and missing.all())):
        row = int(missing.to_numpy().argmax())
        raise BadFileError(path, refusal(column.type, None), column=column.name, row=row)
    if _goes_through(family, column.type):
        return values
    if not _may_be(family, column.type, bool(missing.any())):
        problem = f"the model's signature asks for {column.type}; the file has {values.dtype}: convert the column"
        raise BadFileError(path, problem, column=column.name)
    try:
        return _cast(values, column.type)
    except (ValueError, OverflowError):
        at = first_refused(len(values), _accepts(values, column.type)) or 0
        row, value = int(values.index[at]), str(values.iloc[at])
        explain = out_of_range if family == "time" else refusal
        raise BadFileError(path, explain(column.type, value), column=column.name, row=row, value=value) from None


def _family(values: pd.Series[Any]) -> str:
    """Return bool, number, time, text, bytes, other, or nothing for a column without any value."""
    import pandas as pd

    types = pd.api.types
    if types.is_bool_dtype(values.dtype):
        return "bool"
    if types.is_numeric_dtype(values.dtype):
        return "number"
    if types.is_datetime64_any_dtype(values.dtype):
        return "time"
    kinds = set(map(type, values.dropna()))
    if not kinds:
        return "nothing"
    return "text" if kinds == {str} else "bytes" if kinds == {bytes} else "other"


def _goes_through(family: str, type_: str) -> bool:
    """Whether MLflow takes the family unchanged: for strings any pandas object, for binary also texts."""
    return (type_ == "string" and family in {"bytes", "other"}) or (type_ == "binary" and family in {"text", "bytes"})


def _may_be(family: str, type_: str, some_missing: bool) -> bool:
    """Whether values of a family can be values of an MLflow type at all."""
    if family == "bool" and type_ == "double":
        return some_missing  # as MLflow does, only then
    families = {"boolean": {"bool"}, "string": {"text"}, "datetime": {"time", "text"}}
    allowed = {"number", "text"} if type_ in NUMBERS else families.get(type_, set())
    return family == "nothing" or family in allowed


def _cast(values: pd.Series[Any], type_: str) -> pd.Series[Any]:
    if type_ in NUMBERS:
        return _numbers(values, type_)
    if type_ == "datetime":
        if values.dtype == object:
            return times(values)
        naive = (
            values if getattr(values.dtype, "tz", None) is None else values.dt.tz_convert("UTC").dt.tz_localize(None)
        )
        return naive.astype("datetime64[ns]")
    if type_ == "boolean":
        return values.astype(object).where(values.notna(), None) if values.hasnans else values.astype(bool)
    return values


def _numbers(values: pd.Series[Any], type_: str) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    if values.dtype == object:
        numbers = np.array([np.nan if value is None else _number(value, type_) for value in values])
    else:
        numbers = values.to_numpy(dtype="float64", na_value=np.nan) if values.hasnans else values.to_numpy()
    with np.errstate(all="ignore"):
        cast = numbers.astype(PANDAS[type_])
        # A large unsigned number converts back to itself, and is another number.
        is_lost = (cast.astype(numbers.dtype) != numbers) | ((cast < 0) != (numbers < 0))
    if type_ not in WHOLE and numbers.dtype.kind == "f":
        is_lost = np.isinf(cast) & ~np.isinf(numbers)
    if is_lost.any():
        raise ValueError("out of range")
    return pd.Series(cast, index=values.index)


def _number(value: Any, type_: str) -> Any:
    """Return the number of a text as in a CSV file: Python accepts more."""
    if isinstance(value, str) and not re.match(WHOLE_NUMBER if type_ in WHOLE else f"{NUMBER}|{NO_NUMBER}", value):
        raise ValueError("not a number")
    return int(value) if type_ in WHOLE else float(value)


def _accepts(values: pd.Series[Any], type_: str) -> Callable[[int, int], bool]:
    def accepts(low: int, high: int) -> bool:
        try:
            _cast(values.iloc[low:high], type_)
        except (ValueError, OverflowError):
            return False
        return True

    return accepts
