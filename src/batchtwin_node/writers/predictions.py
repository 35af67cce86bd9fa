"""What a model's `predict` returns -> the MLflow driver's output lines.

Columns of numbers become text in Arrow, a block of rows at a time; only texts and objects are taken one by one.
Without pyarrow everything is, and the lines are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Union

from batchtwin_node.readers.arrow import has_arrow
from batchtwin_node.script.results import OutputLines
from batchtwin_node.writers import arrow_text, plain_text
from batchtwin_node.writers.csv_field import csv_field
from batchtwin_node.writers.json_text import json_text
from batchtwin_node.writers.values import array_of, is_missing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Rows = Union[pd.DataFrame, np.ndarray[Any, Any]]

BLOCK_ROWS = 1 << 16


@lru_cache(maxsize=None)
def text_module() -> Any:
    """Return what makes texts of whole columns: `arrow_text`, or `plain_text` where there is no pyarrow."""
    if not has_arrow():
        return plain_text
    import_module("pyarrow.compute")
    return arrow_text


def tabular_lines(predictions: object, file_name: str, first: int = 0) -> OutputLines:
    """Return the lines `row,prediction,file_name` of one file; `row` counts from `first`.

    `predictions`: (n,) or (n, 1) arrays, Series and lists give scalars; other arrays a JSON list per row,
    DataFrames a JSON object per row [R].
    """
    rows = rows_of(predictions)
    name = csv_field(file_name)
    csv_lines = text_module().csv_lines
    starts = range(0, len(rows), BLOCK_ROWS)
    blocks = [csv_lines(first + start, texts_of(rows[start : start + BLOCK_ROWS]), name) for start in starts]
    return OutputLines(b"".join(blocks), len(rows))


def image_lines(predictions: object, file_name: str) -> OutputLines:
    """Return the line `prediction,file_name` of one image.

    `predictions`: of shape (1,) or (1, 1) a scalar, of shape (1, k) a JSON list of k, of any other shape JSON.
    """
    rows = rows_of(predictions)
    if len(rows) == 1:
        text = text_module().first(texts_of(rows))
    else:
        text = json_text(predictions if isinstance(predictions, dict) else rows)
    return OutputLines(f"{csv_field(text)},{csv_field(file_name)}\n".encode(), 1)


def rows_of(predictions: object) -> Rows:
    """Return what has one element, or one row, per prediction: a DataFrame, or an array without needless axes."""
    import numpy as np
    import pandas as pd

    if isinstance(predictions, pd.DataFrame):
        return predictions
    array = _array(predictions)
    if isinstance(array, np.ndarray) and array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array


def _array(predictions: Any) -> Rows:
    import numpy as np
    import pandas as pd

    if isinstance(predictions, (pd.Series, pd.Index)):
        predictions = array_of(predictions.to_series() if isinstance(predictions, pd.Index) else predictions)
    elif hasattr(predictions, "toarray"):
        predictions = predictions.toarray()  # sparse
    elif isinstance(predictions, dict):
        return _of_dict(predictions)
    elif isinstance(predictions, (list, tuple, Iterator)):
        return _of_list(list(predictions))
    elif not hasattr(predictions, "__array__"):
        return _objects([predictions])
    return np.atleast_1d(np.asarray(predictions))


def _of_dict(predictions: dict[Any, Any]) -> Rows:
    """Return outputs by name, each with one element per row, as a table; any other dict is one prediction."""
    import pandas as pd

    columns = {name: rows_of(value) for name, value in predictions.items() if _is_many(value)}
    if len(columns) < len(predictions) or len({len(column) for column in columns.values()}) != 1:
        return _objects([predictions])
    return pd.DataFrame({name: pd.Series(_objects(list(column))) for name, column in columns.items()}).infer_objects()


def _is_many(value: object) -> bool:
    import numpy as np
    import pandas as pd

    return isinstance(value, (list, pd.Series)) or (hasattr(value, "__array__") and not isinstance(value, np.generic))


def _of_list(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return an array of numbers if they are all of one type; otherwise of what they are."""
    import numpy as np

    if len(set(map(type, values))) == 1 and isinstance(values[0], (bool, int, float, np.generic, np.ndarray)):
        if len(set(map(np.shape, values))) == 1:
            array = np.asarray(values)
            if array.dtype.kind in "biuf":
                return array
    return _objects(values)


def _objects(values: list[Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    array = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        array[at] = value
    return array


def texts_of(rows: Rows) -> Any:
    """Return one text per row, not yet quoted, as `text_module` has them. Shape: (rows,)."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame) or rows.ndim > 1:
        return _json_rows(rows)
    if rows.dtype.kind in "biuf":
        return text_module().scalar_texts(rows)
    return text_module().from_list([_text(value) for value in _plain(rows)])


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    """Times as pandas' own objects, for they print well; all else as it is."""
    import pandas as pd

    return list(pd.Series(values)) if values.dtype.kind in "mM" else list(values)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    import numpy as np
    import pandas as pd

    if isinstance(value, (list, tuple, dict, set, np.ndarray, np.void, pd.DataFrame, pd.Series)):
        return json_text(value)
    return "nan" if is_missing(value) else str(value)


def _json_rows(rows: Rows) -> Any:
    """Return a JSON object per row of a DataFrame, a JSON list per row of an array, JSON per scalar."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        names = [f"{json_text(str(name))}: " for name in rows.columns]
        columns = [_json_texts(array_of(rows.iloc[:, at])) for at in range(len(names))]
        return _bracketed("{", names, columns, "}", len(rows))
    if rows.ndim == 2 and rows.dtype.kind in "biuf":
        columns = [_json_texts(rows[:, at]) for at in range(rows.shape[1])]
        return _bracketed("[", [""] * len(columns), columns, "]", len(rows))
    return _json_texts(rows)


def _json_texts(values: np.ndarray[Any, Any]) -> Any:
    """Return the JSON of each element, or of each row. Shapes: (n, ...), (n,)."""
    if values.ndim > 1 or values.dtype.kind not in "biuf":
        return text_module().from_list([json_text(value) for value in values])
    return text_module().json_scalars(values)


def _bracketed(left: str, names: list[str], columns: list[Any], right: str, count: int) -> Any:
    starts = [name if at == 0 else f", {name}" for at, name in enumerate(names)]
    return text_module().bracketed(left, starts, columns, right, count)
