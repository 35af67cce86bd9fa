"""Predictions -> JSON that every reader takes: what is not a number, or not finite, is null."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from batchtwin_node.writers.values import is_missing

if TYPE_CHECKING:
    import numpy as np

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_text(value: Any) -> str:
    """Return the JSON of one value."""
    return _encode(_plain(value))


def _plain(value: Any) -> Any:
    """numpy and pandas values as JSON knows them; anything else as its text."""
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(element) for element in value]
    return _of_library(value)


def _of_library(value: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, pd.Series):
        return [_plain(element) for element in value]
    if isinstance(value, pd.DataFrame):
        records = value.to_dict(orient="records") if len(value.columns) else [{}] * len(value)
        return [_plain(record) for record in records]
    if isinstance(value, np.void):
        return [_plain(element) for element in value.tolist()]
    if isinstance(value, (int, np.bool_, np.integer)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (float, np.floating)):
        # The text of a float32 is shorter than that of the same number as a double.
        return float(str(value)) if math.isfinite(value) else None
    return None if is_missing(value) else str(value)


def _of_array(value: np.ndarray[Any, Any]) -> Any:
    import numpy as np

    if value.dtype.kind in "biu" or (value.dtype == float and np.isfinite(value).all()):
        return value.tolist()
    return [_plain(element) for element in value] if value.ndim else _plain(value[()])
