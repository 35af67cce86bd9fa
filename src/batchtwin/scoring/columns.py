"""The column types of a model signature: what each is in pandas and Arrow, and which texts it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """One ColSpec: `type` is MLflow's name for it (long, integer, double, float, boolean, string, ...)."""

    name: str
    type: str
    required: bool = True


# MLflow type -> the dtype that pandas reads a CSV column with. Datetime and binary are converted afterwards.
PANDAS = {
    "long": "int64",
    "integer": "int32",
    "double": "float64",
    "float": "float32",
    "boolean": "bool",
    "string": "str",
    "datetime": "str",
    "binary": "str",
}
# Types that cannot hold a missing value.
NEVER_MISSING = frozenset({"long", "integer", "boolean"})
BOOLEANS = frozenset({"True", "TRUE", "true", "False", "FALSE", "false"})


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type of an MLflow type."""
    import pyarrow as pa

    types = {
        "long": pa.int64(),
        "integer": pa.int32(),
        "double": pa.float64(),
        "float": pa.float32(),
        "boolean": pa.bool_(),
        "string": pa.string(),
        "datetime": pa.timestamp("ns"),
        "binary": pa.binary(),
    }
    return types[name]


def convert(frame: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    """Turn the text of datetime and binary columns, as a CSV has them, into their types.

    Raises:
        ValueError: a text is not a time.
    """
    import pandas as pd

    for column in columns:
        if column.type == "datetime":
            frame[column.name] = pd.to_datetime(frame[column.name], errors="raise").astype("datetime64[ns]")
        elif column.type == "binary":
            texts = frame[column.name].astype(object)
            frame[column.name] = texts.map(lambda text: text.encode() if isinstance(text, str) else None)
    return frame


def wrong_text(texts: pd.Series[str], missing: pd.Series[bool], kind: str) -> pd.Series[bool]:
    """Tell for each text of a CSV column whether the type `kind` refuses it. Shapes: (rows,) each."""
    import pandas as pd

    present = ~missing
    if kind in {"long", "integer"}:
        bits = 63 if kind == "long" else 31
        whole = texts.str.fullmatch(r"\s*[+-]?\d+\s*")
        fits = texts.where(whole, "0").map(lambda text: -(2**bits) <= int(text) < 2**bits)
        return missing | ~whole | ~fits
    if kind in {"double", "float"}:
        return present & pd.to_numeric(texts.where(present), errors="coerce").isna()
    if kind == "boolean":
        return missing | ~texts.isin(BOOLEANS)
    if kind == "datetime":
        return present & pd.to_datetime(texts.where(present), errors="coerce").isna()
    return missing & False


def refusal(kind: str, value: str | None) -> str:
    """Say why a value is refused, in the words that Python has for it where it has some."""
    asked = f"the model's signature asks for {kind} here"
    if value is None:
        return f"the value is missing; {asked}: fill it in"
    if kind in {"long", "integer"} and not value.strip().lstrip("+-").isdigit():
        return f"invalid literal for int() with base 10: {value!r}; {asked}"
    if kind in {"long", "integer"}:
        return f"{value} is out of range; {asked}"
    if kind in {"double", "float"}:
        return f"could not convert string to float: {value!r}; {asked}"
    return f"not a {kind}: {value!r}; {asked}"
