"""Whether a line of the output says what MLflow predicted. It knows nothing of how batchtwin writes values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd


def rows_of(prediction: Any) -> list[Any]:
    """What a model answered, one element for each row that it answered."""
    if hasattr(prediction, "toarray"):
        prediction = prediction.toarray()
    if isinstance(prediction, pd.DataFrame):
        columns = [list(prediction.iloc[:, at]) for at in range(len(prediction.columns))]
        names = [str(name) for name in prediction.columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(prediction, dict):
        columns = [rows_of(values) for values in prediction.values()]
        return [dict(zip(prediction, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(prediction, np.ma.MaskedArray):
        return [_unmasked(row) for row in prediction]
    if isinstance(prediction, np.ndarray) and prediction.ndim == 2 and prediction.shape[1] == 1:
        return list(prediction[:, 0])
    if isinstance(prediction, pd.Series | np.ndarray | list | tuple | Iterator):
        return list(prediction)
    return [prediction]


def _unmasked(value: Any) -> Any:
    return [_unmasked(element) for element in value] if np.ndim(value) else None if value is np.ma.masked else value


def same(text: str, value: Any) -> bool:
    """Tell whether the text of a field means a value."""
    if isinstance(value, list | tuple | dict | np.ndarray) or hasattr(value, "model_dump"):
        return same_json(json.loads(text), value)
    if _is_missing(value):
        return text == "nan"
    if isinstance(value, bool | np.bool_ | str):
        return text == str(value)
    return _is_number_or_time(text, value)


def _is_number_or_time(text: str, value: Any) -> bool:
    if isinstance(value, np.timedelta64 | pd.Timedelta):
        return bool(pd.Timedelta(text) == pd.Timedelta(value))
    if isinstance(value, int | np.integer):
        return int(text) == int(value)
    if isinstance(value, float | np.floating):
        # As many digits as make this number, and the sign of zero.
        return type(value)(text) == value and math.copysign(1, float(text)) == math.copysign(1, value)
    if isinstance(value, np.datetime64 | pd.Timestamp) or hasattr(value, "isoformat"):
        return "T" in text and bool(pd.Timestamp(text) == pd.Timestamp(value))
    return text == str(value)


def same_json(found: Any, value: Any) -> bool:
    """Tell whether a value that was read from JSON is a value, of numpy or pandas perhaps."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, dict):
        return list(found) == [str(key) for key in value] and all(map(same_json, found.values(), value.values()))
    if isinstance(value, list | tuple | np.ndarray):
        return len(found) == len(value) and all(map(same_json, found, value))
    if _is_missing(value) or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return found is None
    if isinstance(value, bool | np.bool_ | str):
        return bool(found == value)
    if isinstance(found, str):
        return _is_number_or_time(found, value)
    return type(found) is (int if isinstance(value, int | np.integer) else float) and same(str(found), value)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or bool(value != value)
