"""Predictions -> JSON that every reader takes: what is not a number, or not finite, is null."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchtwin_node.writers.number_text import is_missing, scalar_texts

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_texts(values: np.ndarray[Any, Any]) -> pa.Array:
    """Return the JSON of each element, or of each row. Shapes: (n, ...), (n,)."""
    if values.ndim > 1 or values.dtype.kind not in "biuf":
        return pa.array([json_text(value) for value in values], pa.large_string())
    texts = scalar_texts(values)
    if values.dtype.kind == "b":
        return pc.utf8_lower(texts)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return pc.if_else(pa.array(np.isfinite(values)), texts, pa.scalar("null", pa.large_string()))
    return texts


def json_text(value: Any) -> str:
    """Return the JSON of one value."""
    return _encode(_plain(value))


def _plain(value: Any) -> Any:
    """numpy and pandas values as JSON knows them; anything else as its text."""
    match value:
        case None | bool() | str():
            return value
        case dict():
            return {str(key): _plain(element) for key, element in value.items()}
        case list() | tuple() | set():
            return [_plain(element) for element in value]
        case np.ndarray() if value.dtype.kind in "biu" or (value.dtype == float and np.isfinite(value).all()):
            return value.tolist()
        case np.ndarray() | pd.Series():
            return [_plain(element) for element in value] if value.ndim else _plain(value[()])
        case pd.DataFrame():
            return [_plain(record) for record in value.to_dict(orient="records")]
        case np.void():
            return [_plain(element) for element in value.tolist()]
        case bool() | int() | np.bool_() | np.integer():
            return value.item() if isinstance(value, np.generic) else value
        case float() | np.floating():
            # The text of a float32 is shorter than that of the same number as a double.
            return float(str(value)) if math.isfinite(value) else None
    return None if is_missing(value) else str(value)
