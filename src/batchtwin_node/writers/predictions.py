"""What a model's `predict` returns -> the MLflow driver's output lines.

Columns of numbers become text in Arrow, a block of rows at a time; only texts and objects are taken one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchtwin_node.results import OutputLines
from batchtwin_node.writers.json_text import json_text, json_texts
from batchtwin_node.writers.number_text import array_of, is_missing, scalar_texts

BLOCK_ROWS = 1 << 16
Rows = pd.DataFrame | np.ndarray[Any, Any]


def tabular_lines(predictions: object, file_name: str) -> OutputLines:
    """Return the lines `row,prediction,file_name` of one file; `row` counts from 0.

    `predictions`: (n,) or (n, 1) arrays, Series and lists give scalars; other arrays a JSON list per row,
    DataFrames a JSON object per row [R].
    """
    rows = rows_of(predictions)
    count, name = len(rows), csv_field(file_name)
    blocks = (
        _joined(np.arange(low, min(low + BLOCK_ROWS, count)), texts_of(rows[low : low + BLOCK_ROWS]), name)
        for low in range(0, count, BLOCK_ROWS)
    )
    return OutputLines(b"".join(blocks), count)


def image_lines(predictions: object, file_name: str) -> OutputLines:
    """Return the line `prediction,file_name` of one image.

    `predictions`: of shape (1,) or (1, 1) a scalar, of shape (1, k) a JSON list of k, of any other shape JSON.
    """
    rows = rows_of(predictions)
    if len(rows) == 1:
        text = texts_of(rows)[0].as_py()
    else:
        text = json_text(predictions if isinstance(predictions, dict) else rows)
    return OutputLines(f"{csv_field(text)},{csv_field(file_name)}\n".encode(), 1)


def rows_of(predictions: object) -> Rows:
    """Return what has one element, or one row, per prediction: a DataFrame, or an array without needless axes."""
    if isinstance(predictions, pd.DataFrame):
        return predictions
    array = _array(predictions)
    if isinstance(array, np.ndarray) and array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array


def _array(predictions: Any) -> Rows:
    if isinstance(predictions, pd.Series | pd.Index):
        predictions = array_of(predictions.to_series() if isinstance(predictions, pd.Index) else predictions)
    elif hasattr(predictions, "toarray"):
        predictions = predictions.toarray()  # sparse
    elif isinstance(predictions, dict):
        return _of_dict(predictions)
    elif isinstance(predictions, list | tuple | Iterator):
        return _of_list(list(predictions))
    elif not hasattr(predictions, "__array__"):
        return _objects([predictions])
    return np.atleast_1d(np.asarray(predictions))


def _of_dict(predictions: dict[Any, Any]) -> Rows:
    """Return outputs by name, each with one element per row, as a table; any other dict is one prediction."""
    columns = {name: rows_of(value) for name, value in predictions.items() if _is_many(value)}
    if len(columns) < len(predictions) or len({len(column) for column in columns.values()}) != 1:
        return _objects([predictions])
    return pd.DataFrame({name: pd.Series(_objects(list(column))) for name, column in columns.items()}).infer_objects()


def _is_many(value: object) -> bool:
    return isinstance(value, list | pd.Series) or (hasattr(value, "__array__") and not isinstance(value, np.generic))


def _of_list(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return an array of numbers if they are all of one type; otherwise of what they are."""
    if len(set(map(type, values))) == 1 and isinstance(values[0], bool | int | float | np.generic | np.ndarray):
        if len(set(map(np.shape, values))) == 1:
            array = np.asarray(values)
            if array.dtype.kind in "biuf":
                return array
    return _objects(values)


def _objects(values: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        array[at] = value
    return array


def texts_of(rows: Rows) -> pa.Array:
    """Return one text per row, not yet quoted. Shape: (rows,)."""
    if isinstance(rows, pd.DataFrame) or rows.ndim > 1:
        return _json_rows(rows)
    if rows.dtype.kind in "biuf":
        return scalar_texts(rows)
    return pa.array([_text(value) for value in _plain(rows)], pa.large_string())


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    """Times as pandas' own objects, for they print well; all else as it is."""
    return list(pd.Series(values)) if values.dtype.kind in "mM" else list(values)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict | set | np.ndarray | np.void | pd.DataFrame | pd.Series):
        return json_text(value)
    return "nan" if is_missing(value) else str(value)


def _json_rows(rows: Rows) -> pa.Array:
    """Return a JSON object per row of a DataFrame, a JSON list per row of an array, JSON per scalar."""
    if isinstance(rows, pd.DataFrame):
        names = [f"{json_text(str(name))}: " for name in rows.columns]
        columns = [json_texts(array_of(rows.iloc[:, at])) for at in range(len(names))]
        return _bracketed("{", columns, "}", len(rows), names)
    if rows.ndim == 2 and rows.dtype.kind in "biuf":
        return _bracketed("[", [json_texts(rows[:, at]) for at in range(rows.shape[1])], "]", len(rows))
    return json_texts(rows)


def _bracketed(left: str, columns: list[pa.Array], right: str, count: int, names: list[str] | None = None) -> pa.Array:
    if not columns:
        return pa.array(repeat(left + right, count), pa.large_string(), size=count)
    starts = [name if at == 0 else f", {name}" for at, name in enumerate(names or [""] * len(columns))]
    parts = [part for pair in zip(starts, columns, strict=True) for part in pair]
    return pc.binary_join_element_wise(*map(_large, [left, *parts, right]), _large(""))


def _large(part: str | pa.Array) -> pa.Scalar | pa.Array:
    return pa.scalar(part, pa.large_string()) if isinstance(part, str) else part


def csv_field(text: str) -> str:
    """Quote a text as CSV needs it."""
    if any(character in text for character in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _csv_fields(texts: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(texts, '[,"\n\r]')
    if not pc.any(special).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise(*map(_large, ['"', doubled, '"', ""])), texts)


def _joined(numbers: np.ndarray[Any, Any], texts: pa.Array, name: str) -> bytes:
    rows = pa.array(numbers).cast(pa.large_string())
    parts = [rows, ",", _csv_fields(texts), f",{name}\n", ""]
    lines = pc.binary_join_element_wise(*map(_large, parts))
    offsets, data = lines.buffers()[1:]
    ends = np.frombuffer(offsets, dtype=np.int64)
    return bytes(data[ends[lines.offset] : ends[lines.offset + len(lines)]])
