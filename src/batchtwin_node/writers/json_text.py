"""Predictions -> JSON that every reader accepts: null for what is no number, or not finite."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import UserList, deque
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from batchtwin_node.writers.values import array_in, array_of, is_missing, time_text

LISTS = (list, tuple, deque, range, UserList, Iterator, KeysView, ValuesView, ItemsView)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_text(value: Any) -> str:
    """Return the JSON of one value, which can be written as UTF-8: half a surrogate pair is an escape."""
    text = _encode(_plain(value))
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def is_composite(value: object) -> bool:
    """Whether a value is more than a scalar, and so JSON in its field. `value`: as `array_in` returns it."""
    if isinstance(value, (dict, set, frozenset, *LISTS)):
        return True
    import numpy as np
    import pandas as pd

    if isinstance(value, (Mapping, np.void, pd.DataFrame, pd.Series)):
        return True
    return (isinstance(value, np.ndarray) and value.ndim > 0) or _fields(value) is not None


def _plain(value: Any) -> Any:
    """Return numpy and pandas values as JSON values; anything else as its text."""
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, (dict, Mapping)):
        return {_key(key): _plain(element) for key, element in value.items()}
    if isinstance(value, LISTS):
        return [_plain(element) for element in value]
    if isinstance(value, (set, frozenset)):  # in an order that is always the same
        return sorted(map(_plain, value), key=_encode)
    fields = _fields(value)
    return _of_library(value) if fields is None else _plain(fields)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else time_text(key) or str(key)


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of a pydantic model or a dataclass by name; None for anything else."""
    if isinstance(value, type):
        return None
    if hasattr(value, "model_dump"):
        fields: dict[str, Any] = value.model_dump()
        return fields
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _of_library(value: Any) -> Any:
    import numpy as np
    import pandas as pd

    value = array_in(value)
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, pd.Series):
        return _of_array(array_of(value))
    if isinstance(value, pd.DataFrame):
        columns = [_of_array(array_of(value.iloc[:, at])) for at in range(len(value.columns))]
        names = [_key(name) for name in value.columns]
        return [{name: column[row] for name, column in zip(names, columns)} for row in range(len(value))]
    if isinstance(value, np.void):
        return [_plain(value[name]) for name in value.dtype.names] if value.dtype.names else str(value)
    if isinstance(value, (int, np.bool_, np.integer)) and not isinstance(value, np.timedelta64):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (float, np.floating)):
        # The text of a float32 is shorter than that of the same number as a double.
        return float(str(value)) if math.isfinite(value) else None
    return None if is_missing(value) else time_text(value) or str(value)


def _of_array(value: Any) -> Any:
    import numpy as np

    if value.dtype.kind in "biu" or (value.dtype == float and np.isfinite(value).all()):
        return value.tolist()
    return [_plain(element) for element in value] if value.ndim else _plain(value[()])
