"""The column types of a model signature: what each is in pandas and Arrow, and why a value is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchtwin_node.readers.bad_file import shown
from batchtwin_node.readers.signature import Columns

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# MLflow type -> the dtype that pandas reads a CSV column with. Booleans are inferred, for they may be missing, and
# times are converted afterwards. A binary column stays text, as MLflow lets it.
PANDAS = {
    "long": "int64",
    "integer": "int32",
    "double": "float64",
    "float": "float32",
    "string": "str",
    "datetime": "str",
    "binary": "str",
}
WHOLE = frozenset({"long", "integer"})
NUMBERS = WHOLE | {"double", "float"}
# Optional columns of these types without any value are left out: pandas could not give them their type.
ABSENT_IF_EMPTY = WHOLE | {"boolean"}
BOOLEANS = frozenset({"True", "TRUE", "true", "False", "FALSE", "false"})


def convert(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Finish the types of a table read from CSV, in place. Shapes: (rows, columns).

    Times are ISO 8601, and UTC where they name a zone. A boolean column with missing values is an object column.

    Raises:
        ValueError: a text is not a time or not a boolean.
    """
    for column in columns:
        if column.type == "datetime":
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

    return pd.to_datetime(texts, format="ISO8601", utc=True).dt.tz_localize(None).astype("datetime64[ns]")


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
