"""The column types of a model signature: what each is in pandas and Arrow, and why a value is refused."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from batchtwin_node.readers.bad_file import shown
from batchtwin_node.readers.nullable import objects
from batchtwin_node.readers.signature import Column, Columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

# MLflow type -> the dtype that pandas gives a CSV column. Booleans are inferred, for they may be missing, and times are
# converted afterwards. A binary column stays text, as MLflow lets it.
PANDAS = {
    "long": "int64",
    "integer": "int32",
    "double": "float64",
    "float": "float32",
    "string": "str",
    "datetime": "str",
    "binary": "str",
}
# What is read instead where pandas does not say that a number is too large for its type.
WIDER = {"integer": "long", "float": "double"}
WHOLE = frozenset({"long", "integer"})
NUMBERS = WHOLE | {"double", "float"}
# Optional columns of these types without any value are left out: pandas could not give them their type.
ABSENT_IF_EMPTY = WHOLE | {"boolean"}
BOOLEANS = frozenset({"True", "TRUE", "true", "False", "FALSE", "false"})
# Years, months, days; hours, minutes, seconds and a zone. As pandas 2 takes ISO 8601.
ISO_8601 = re.compile(
    r"\s*\d{4}(-\d{1,2}(-\d{1,2})?|\d{2}(\d{2})?)?"
    r"([T ]\d{1,2}(:?\d{2}(:?\d{2}(\.\d+)?)?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?\s*",
    re.ASCII,
)


@lru_cache(maxsize=None)
def pandas_version() -> int:
    """Return the first number of pandas' version."""
    import pandas as pd

    return int(pd.__version__.partition(".")[0])


def wraps_numbers() -> bool:
    """Whether this pandas wraps or replaces numbers that are too large for their column's type, and says nothing."""
    return pandas_version() < 3


def convert(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Finish the types of a table read from CSV, in place. Shapes: (rows, columns).

    Times are ISO 8601, and UTC where they name a zone. A boolean column with missing values is an object column.

    Raises:
        ValueError: a text is not a time or not a boolean, or a number is too large.
    """
    if wraps_numbers():
        _narrow(frame, tuple(column for column in columns if not column.nullable))
    for column in columns:
        if column.nullable:
            frame[column.name] = objects(frame[column.name], column.type, times)
        elif column.type == "datetime":
            frame[column.name] = times(frame[column.name])
        elif column.type == "boolean":
            frame[column.name] = _booleans(frame[column.name])
    return frame


def times(texts: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    """Read times in ISO 8601: day and month cannot be mistaken, whatever else the column holds.

    Raises:
        ValueError: one is no such time, or out of the range of nanoseconds.
    """
    import pandas as pd

    if pandas_version() < 2:
        for text in texts.dropna():
            if not ISO_8601.fullmatch(text):
                raise ValueError(f"not a time in ISO 8601: {shown(text)}")
        return pd.to_datetime(texts, utc=True).dt.tz_localize(None)
    return pd.to_datetime(texts, format="ISO8601", utc=True).dt.tz_localize(None).astype("datetime64[ns]")


def _narrow(frame: pd.DataFrame, columns: Columns) -> None:
    """Give whole numbers and floats, which were read as what is WIDER, their types."""
    for column in columns:
        if column.type in WHOLE and frame[column.name].dtype != "int64":
            raise ValueError("out of range")
        if column.type in WIDER:
            frame[column.name] = _narrowed(frame[column.name].to_numpy(), column)


def _narrowed(values: np.ndarray[Any, Any], column: Column) -> np.ndarray[Any, Any]:
    import numpy as np

    with np.errstate(all="ignore"):
        narrow = values.astype(PANDAS[column.type])
    is_lost = narrow != values if column.type == "integer" else np.isinf(narrow) & ~np.isinf(values)
    if is_lost.any():
        raise ValueError("out of range")
    return narrow


def _booleans(values: pd.Series[bool]) -> pd.Series[bool]:
    import pandas as pd

    if not pd.api.types.is_bool_dtype(values.dtype):
        there = values.dropna()
        if not all(isinstance(value, bool) for value in there):
            raise ValueError("not a boolean")
        return values.astype(object)
    return values


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type of an MLflow type."""
    import pyarrow as pa

    types = {
        "long": pa.int64(),
        "integer": pa.int32(),
        "double": pa.float64(),
        "float": pa.float32(),
        "boolean": pa.bool_(),
        "string": pa.large_string(),
        "datetime": pa.timestamp("ns"),
        "binary": pa.binary(),
    }
    return types[name]


def refusal(kind: str, value: str | None) -> str:
    """Say why a value is refused, in the words that Python has for it where it has some."""
    asked = f"the model's signature asks for {kind} here"
    if value is None:
        return f"the value is missing; {asked}: fill it in"
    if kind in WHOLE and not re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
        return f"invalid literal for int() with base 10: {shown(value)}; {asked}"
    if kind in {"double", "float"} and not _is_float(value):
        return f"could not convert string to float: {shown(value)}; {asked}"
    if kind in NUMBERS:
        return f"{shown(value)} is out of range; {asked}"
    if kind == "datetime":
        return f"not a time in ISO 8601, as 2024-01-31 12:30:00: {shown(value)}; {asked}"
    return f"not a {kind}: {shown(value)}; {asked}"


def _is_float(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
