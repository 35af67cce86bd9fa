"""The column types of a model signature: what each is in pandas and Arrow, and why a value is refused."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from batchtwin_node.readers.bad_file import quote
from batchtwin_node.readers.nullable import objects
from batchtwin_node.readers.signature import Columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

# MLflow type -> the dtype of a CSV column. Booleans are inferred, because they may be missing; times are converted
# afterwards. A binary column stays text, which MLflow allows.
PANDAS = {
    "long": "int64",
    "integer": "int32",
    "double": "float64",
    "float": "float32",
    "string": "str",
    "datetime": "str",
    "binary": "str",
}
# Wider types to read instead, where pandas does not report that a number is too large for its type.
WIDER = {"integer": "long", "float": "double"}
WHOLE = frozenset({"long", "integer"})
NUMBERS = WHOLE | {"double", "float"}
# Optional columns of these types without any value are left out: pandas could not give them their type.
ABSENT_IF_EMPTY = WHOLE | {"boolean"}
BOOLEANS = frozenset({"True", "TRUE", "true", "False", "FALSE", "false"})
# Numbers as pandas reads them, and what else it reads as a float. Python accepts more: 1_000, other scripts' digits.
WHOLE_NUMBER = r"^[ \t-\r]*[+-]?[0-9]+[ \t-\r]*$"
NUMBER = r"^[ \t-\r]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t-\r]*$"
NO_NUMBER = r"^[ \t-\r]*[+-]?(?i:inf|infinity|nan)[ \t-\r]*$"
RANGES = {
    "long": ("-9223372036854775808", "9223372036854775807"),
    "integer": ("-2147483648", "2147483647"),
    "double": ("-1.7976931348623157e+308", "1.7976931348623157e+308"),
    "float": ("-3.4028235e+38", "3.4028235e+38"),
    "datetime": ("1677-09-21 00:12:43.145224193", "2262-04-11 23:47:16.854775807"),
}
# The range of times in nanoseconds begins and ends within these years.
FIRST_YEAR, LAST_YEAR = 1677, 2262
# Numbers as people write them: decimal commas, something between thousands, digits of another script.
LOCAL_NUMBER = re.compile(r"[+-]?\d[\d.,'\u2019_\s]*")
# Years, months, days; hours, minutes, seconds and a zone: ISO 8601 as in pandas 2.
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
    """Whether this pandas silently wraps or replaces numbers that are too large for their column's type."""
    return pandas_version() < 3


def convert(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Finish the types of a table read from CSV, in place or in a new one. Shapes: (rows, columns).

    Times are ISO 8601, and UTC where they name a zone. A boolean column with missing values is an object column.

    Raises:
        ValueError: a text is not a time or not a boolean, or a number is too large.
    """
    if wraps_numbers():
        frame = _narrow(frame, tuple(column for column in columns if not column.nullable))
    for column in columns:
        if column.nullable:
            frame[column.name] = objects(frame[column.name], column.type, times)
        elif column.type == "datetime":
            frame[column.name] = times(frame[column.name])
        elif column.type == "boolean":
            frame[column.name] = _booleans(frame[column.name])
    return frame


def times(texts: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    """Read times in ISO 8601: day and month cannot be confused, whatever else the column holds.

    Raises:
        ValueError: one is no such time, or out of the range of nanoseconds.
    """
    import pandas as pd

    if pandas_version() < 2:
        for text in texts.dropna():
            if not ISO_8601.fullmatch(text):
                raise ValueError(f"not a time in ISO 8601: {quote(text)}")
        return pd.to_datetime(texts, utc=True).dt.tz_localize(None)
    return pd.to_datetime(texts, format="ISO8601", utc=True).dt.tz_localize(None).astype("datetime64[ns]")


def _narrow(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Convert whole numbers and floats that were read in a WIDER type to their own."""
    import pandas as pd

    kinds = {column.type for column in columns}
    if len(kinds) == 1 and len(columns) == len(frame.columns) and len({*frame.dtypes}) == 1:
        [kind] = kinds
        if kind in WHOLE and frame.dtypes.iloc[0] != "int64":
            raise ValueError("out of range")
        if kind not in WIDER:
            return frame
        return pd.DataFrame(_narrowed(frame.to_numpy(), kind), index=frame.index, columns=frame.columns, copy=False)
    for column in columns:
        if column.type in WHOLE and frame[column.name].dtype != "int64":
            raise ValueError("out of range")
        if column.type in WIDER:
            frame[column.name] = _narrowed(frame[column.name].to_numpy(), column.type)
    return frame


def _narrowed(values: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    import numpy as np

    with np.errstate(all="ignore"):
        narrow = values.astype(PANDAS[kind])
    is_lost = narrow != values if kind == "integer" else np.isinf(narrow) & ~np.isinf(values)
    if is_lost.any():
        raise ValueError("out of range")
    return narrow


def _booleans(values: pd.Series[bool]) -> pd.Series[bool]:
    import pandas as pd

    if not pd.api.types.is_bool_dtype(values.dtype):
        present = values.dropna()
        if not all(isinstance(value, bool) for value in present):
            raise ValueError("not a boolean")
        return values.astype(object)
    return values


@lru_cache(maxsize=None)
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
    """Return why a value is refused, in Python's words where it has some."""
    expected = f"the model's signature asks for {kind} here"
    if value is None:
        return f"the value is missing; {expected}: fill it in"
    if kind in NUMBERS:
        return _number_refusal(kind, value, expected)
    if kind == "datetime":
        return _time_refusal(value, expected)
    advice = ": write true or false" if kind == "boolean" else ""
    return f"not a {kind}: {quote(value)}; {expected}{advice}"


def out_of_range(kind: str, value: str) -> str:
    """Say that a value is out of the range of its type."""
    low, high = RANGES[kind]
    return f"{quote(value)} is out of range; the model's signature asks for {kind} here, which holds {low} to {high}"


def _number_refusal(kind: str, value: str, expected: str) -> str:
    number = decimal_of(value)
    if number is None or (kind in WHOLE and number != number.to_integral_value()):
        reason = "invalid literal for int() with base 10" if kind in WHOLE else "could not convert string to float"
        is_local = number is None and LOCAL_NUMBER.fullmatch(value.strip())
        advice = ": write it as 1234.5, with nothing between thousands" if is_local else ""
        return f"{reason}: {quote(value)}; {expected}{advice}"
    low, high = map(Decimal, RANGES[kind])
    if not low <= number <= high:
        return out_of_range(kind, value)
    return f"{quote(value)} is not exactly representable as {kind}; {expected}"


def decimal_of(value: str) -> Decimal | None:
    """Return the number that pandas would read from a text; None if it is none, or not finite."""
    if not re.match(NUMBER, value):
        return None
    try:
        return Decimal(value.strip())
    except ArithmeticError:  # an exponent of more than 18 digits
        return Decimal("-Infinity" if value.strip().startswith("-") else "Infinity")


def _time_refusal(value: str, expected: str) -> str:
    if ISO_8601.fullmatch(value) and value.strip():
        year = int(value.strip()[:4])
        if not _is_of_the_calendar(value.strip()):
            return f"no such date or time: {quote(value)}; {expected}"
        if not FIRST_YEAR < year < LAST_YEAR:
            return out_of_range("datetime", value)
    return f"not a time in ISO 8601, as 2024-01-31 12:30:00: {quote(value)}; {expected}"


def _is_of_the_calendar(text: str) -> bool:
    """Whether such a day and such a time exist. `text` has the form of ISO_8601."""
    day, _, clock = text.replace("T", " ").partition(" ")
    parts = day.split("-") if "-" in day else [day[:4], day[4:6], day[6:8]]
    year, month, date = (int(part or 1) for part in [*parts, "", ""][:3])
    digits = re.match(r"(\d{1,2})?:?(\d{2})?:?(\d{2})?", clock)
    hour, minute, second = (int(part or 0) for part in (digits.groups() if digits else "000"))
    try:
        datetime(year, month, date, hour, minute, second)
    except ValueError:
        return False
    return True
