"""Columns with missing values, as Python objects: pandas would turn numbers beside missing ones into floats."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LARGEST = {"long": 2**63, "integer": 2**31}
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def objects(texts: pd.Series[str], kind: str, times: Callable[[Any], Any]) -> pd.Series[Any]:
    """Return the values of the texts of a CSV column, None where there is no text. Shapes: (n,), (n,).

    `times` reads a column of times.

    Raises:
        ValueError: a text is no value of this kind.
    """
    if kind == "datetime":
        return with_none(times(texts))
    read: Callable[[str], Any] = _boolean if kind == "boolean" else partial(_whole, LARGEST[kind])
    return _series([None if missing else read(text) for text, missing in zip(texts, texts.isna())], texts)


def with_none(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the values as Python objects, None where one is missing. Shapes: (n,), (n,)."""
    return _series([None if missing else _plain(value) for value, missing in zip(values, values.isna())], values)


def _series(values: list[Any], like: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(values, index=like.index, dtype=object, name=like.name)


def _plain(value: Any) -> Any:
    """Return Python's own number for numpy's; times stay pandas' own."""
    return value.item() if type(value).__module__ == "numpy" else value


def _boolean(text: str) -> bool:
    if text.strip() not in BOOLEANS:
        raise ValueError(f"not a boolean: {text!r}")
    return BOOLEANS[text.strip()]


def _whole(end: int, text: str) -> int:
    if not WHOLE_NUMBER.fullmatch(text):
        raise ValueError(f"not a whole number: {text!r}")
    number = int(text)
    if not -end <= number < end:
        raise ValueError(f"out of range: {text!r}")
    return number
