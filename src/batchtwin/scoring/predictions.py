"""What a model's `predict` returns -> the MLflow driver's output lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from batchtwin.scoring.results import Lines


def tabular_lines(predictions: object, file_name: str) -> Lines:
    """Return the lines `row,prediction,file_name` of one file; `row` counts from 0.

    `predictions`: (n,) or (n, 1) arrays, Series and lists give scalars; other arrays a JSON list per row,
    DataFrames a JSON object per row [R].
    """
    values = column_of(predictions)
    frame = pd.DataFrame({"row": np.arange(len(values)), "prediction": values, "file_name": file_name})
    text = frame.to_csv(None, header=False, index=False, lineterminator="\n", na_rep="nan")
    return Lines(text.encode(), len(frame))


def column_of(predictions: object) -> list[str] | np.ndarray[Any, Any]:
    """Return one value per row, ready for a CSV field."""
    if isinstance(predictions, pd.DataFrame):
        return [_json(record) for record in predictions.to_dict(orient="records")]
    if isinstance(predictions, pd.Series):
        values: Any = predictions.to_numpy()
    else:
        values = predictions if isinstance(predictions, np.ndarray) else _array(predictions)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim > 1 or (values.dtype == object and any(isinstance(value, list | dict) for value in values)):
        return [value if isinstance(value, str) else _json(value) for value in values]
    scalars: np.ndarray[Any, Any] = values
    return scalars


def _array(predictions: object) -> np.ndarray[Any, Any]:
    rows = (
        list(predictions) if isinstance(predictions, Sequence) and not isinstance(predictions, str) else [predictions]
    )
    if any(isinstance(row, list | dict | tuple) for row in rows):
        ragged = np.empty(len(rows), dtype=object)
        ragged[:] = [list(row) if isinstance(row, tuple) else row for row in rows]
        return ragged
    return np.asarray(rows)


def _json(value: object) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: object) -> object:
    """numpy and pandas values as JSON knows them; anything else as its text."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)
