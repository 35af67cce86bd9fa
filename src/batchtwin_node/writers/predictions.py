"""What a model's `predict` returns -> the MLflow driver's output lines.

Columns of numbers become text in Arrow, a block of rows at a time; only texts and objects are converted one by one.
Without pyarrow all are, with the same lines.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Sequence, ValuesView
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Union

from batchtwin_node.readers.arrow import has_arrow
from batchtwin_node.script.results import OutputLines
from batchtwin_node.writers import arrow_text, plain_text
from batchtwin_node.writers.csv_field import csv_field
from batchtwin_node.writers.json_text import is_composite, json_text
from batchtwin_node.writers.values import array_in, array_of, is_missing, objects, time_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Rows = Union[pd.DataFrame, np.ndarray[Any, Any]]

BLOCK_ROWS = 1 << 16
# Types with one element per row; and types that are one value.
LISTS = (Sequence, Iterator, KeysView, ValuesView, ItemsView)
BYTES = (str, bytes, bytearray, memoryview)


@lru_cache(maxsize=None)
def text_module() -> Any:
    """Return the module that writes whole columns: `arrow_text`, or `plain_text` where there is no pyarrow."""
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
    name = csv_field(writable(file_name))
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
    return OutputLines(f"{csv_field(text)},{csv_field(writable(file_name))}\n".encode(), 1)


def rows_of(predictions: object) -> Rows:
    """Return predictions with one element, or one row, each: a DataFrame, or an array without needless axes."""
    import numpy as np
    import pandas as pd

    predictions = array_in(predictions)
    if isinstance(predictions, pd.DataFrame):
        return predictions
    array = _array(predictions)
    if isinstance(array, np.ndarray) and array.ndim == 2 and array.shape[1] == 1:
        return np.asarray(array)[:, 0]
    return array


def _array(predictions: Any) -> Rows:
    import numpy as np
    import pandas as pd

    if isinstance(predictions, pd.Series):
        return array_of(predictions)
    if isinstance(predictions, (np.ndarray, np.generic)):
        return np.atleast_1d(np.asarray(predictions))
    if isinstance(predictions, dict):
        return _of_dict(predictions)
    if isinstance(predictions, LISTS) and not isinstance(predictions, BYTES):
        return _of_list([array_in(value) for value in predictions])
    return objects([predictions])


def _of_dict(predictions: dict[Any, Any]) -> Rows:
    """Return outputs by name, each with one element per row, as a table; any other dict is one prediction."""
    import pandas as pd

    values = {name: array_in(value) for name, value in predictions.items()}
    columns = {name: _column(value) for name, value in values.items() if _is_many(value)}
    if len(columns) < len(predictions) or len({len(column) for column in columns.values()}) != 1:
        return objects([predictions])
    # pandas 3 would make its own texts of objects; not every text can be one.
    table = pd.DataFrame({at: pd.Series(column, dtype=column.dtype) for at, column in enumerate(columns.values())})
    table.columns = pd.Index(list(columns), dtype=object)
    return table


def _column(value: Any) -> np.ndarray[Any, Any]:
    """Return one element per row; a row of an array or a table is one element."""
    import pandas as pd

    rows = rows_of(value)
    if isinstance(rows, pd.DataFrame):
        return objects([rows.iloc[[at]].to_dict(orient="records")[0] for at in range(len(rows))])
    return rows if rows.ndim == 1 else objects(list(rows))


def _is_many(value: object) -> bool:
    import numpy as np
    import pandas as pd

    return isinstance(value, (list, pd.Series, pd.DataFrame)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _of_list(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return an array of numbers if they are all of one type; otherwise an array of objects."""
    import numpy as np

    if len(set(map(type, values))) == 1 and isinstance(values[0], (bool, int, float, np.generic, np.ndarray)):
        if len(set(map(_kind, values))) == 1:
            array = np.asarray(values)
            # numpy would turn large whole numbers into floats.
            if array.dtype.kind in ("iu" if type(values[0]) is int else "biuf"):
                return array
    return objects(values)


def _kind(value: Any) -> object:
    """Return the kind of a value: values of one kind can share an array of numbers."""
    import numpy as np

    return np.shape(value), getattr(value, "dtype", None)


def texts_of(rows: Rows) -> Any:
    """Return one text per row, not yet quoted, as `text_module` has them. Shape: (rows,)."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame) or rows.ndim > 1:
        return _json_rows(rows)
    if rows.dtype.kind in "biuf":
        return text_module().scalar_texts(rows)
    return _texts([_text(value) for value in list(rows)])  # faster than an array's own elements


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    value = array_in(value)
    if value is None or isinstance(value, (bool, int, float)):
        return "nan" if value is None or value != value else str(value)
    if is_composite(value):
        return json_text(value)
    scalar = value[()] if type(value).__name__ == "ndarray" else value
    return "nan" if is_missing(scalar) else time_text(scalar) or str(scalar)


def _texts(texts: list[str]) -> Any:
    try:
        return text_module().from_list(texts)
    except UnicodeEncodeError:
        return text_module().from_list([writable(text) for text in texts])


def writable(text: str) -> str:
    """Return a text that can be written as UTF-8: half a surrogate pair becomes its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


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
        return _texts([json_text(value) for value in values])
    return text_module().json_scalars(values)


def _bracketed(left: str, names: list[str], columns: list[Any], right: str, count: int) -> Any:
    starts = [name if at == 0 else f", {name}" for at, name in enumerate(names)]
    return text_module().bracketed(left, starts, columns, right, count)
