"""The values in a column or an array of predictions, for any version of numpy and pandas."""

from __future__ import annotations

import datetime
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


# Python's own types, which hold objects of libraries only as elements.
PLAIN = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple})


def is_missing(value: Any) -> bool:
    """Whether a scalar is None, NaN, NaT, NA or masked."""
    import numpy as np
    import pandas as pd

    if value is None or value is pd.NA or value is np.ma.masked:
        return True
    try:
        return bool(value != value)
    except ArithmeticError:  # a signaling NaN of Decimal
        return True


def array_of(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the unchanged values of a column: pandas would turn integers into floats if some are missing."""
    import pandas as pd

    nullable = isinstance(values.dtype, pd.api.extensions.ExtensionDtype) and values.hasnans
    # One by one: in an array of objects, floats of 32 bits would become Python's own, which are longer.
    return objects(list(values)) if nullable else values.to_numpy()


def objects(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return an array with the unchanged values. Shape: (n,)."""
    import numpy as np

    array = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        array[at] = value
    return array


def time_text(value: Any) -> str | None:
    """Return a time or a duration in ISO 8601; None for any other value.

    Fractions of a second are written where there are some. A missing time is no time.
    """
    import numpy as np
    import pandas as pd

    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else _of_numpy(value)
    if isinstance(value, (datetime.date, datetime.time)):  # pandas' own times too
        return None if value != value else value.isoformat()
    if isinstance(value, (datetime.timedelta, np.timedelta64)):
        try:
            duration = pd.Timedelta(value)
        except ValueError:  # months and years have no length
            return str(value)
        return None if duration != duration else str(duration.isoformat())
    return None


def _of_numpy(value: np.datetime64) -> str:
    """Return numpy's time as pandas writes it: numpy ends with zeros, and writes a day alone where that is its unit."""
    whole, _, fraction = _digits(value).partition(".")
    if not fraction.strip("0"):
        return whole
    return f"{whole}.{fraction if fraction[6:].strip('0') else fraction[:6]}"


def _digits(value: np.datetime64) -> str:
    import numpy as np

    for unit in ("ns", "s"):
        with suppress(OverflowError, TypeError, ValueError):
            text = str(np.datetime_as_string(value, unit=unit))
            if np.datetime64(text) == value:
                return text
    return str(value)


def array_in(value: Any) -> Any:
    """Return an array or a table of numpy or pandas for other libraries' ones; anything else unchanged.

    Masked elements are None. A tensor with a gradient, or of another device, gives its numbers.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, memoryview):
        return value.tobytes()
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ma.MaskedArray):
        return _unmasked(value)
    if isinstance(value, (np.ndarray, np.generic, pd.DataFrame, pd.Series, str, bytes)):
        return value
    if isinstance(value, pd.Index):
        return value.to_series()
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return pd.Series(value)
    return _of_library(value)


def _of_library(value: Any) -> Any:
    import numpy as np

    if all(hasattr(value, name) for name in ("detach", "cpu", "numpy")):
        return _of_tensor(value)
    if hasattr(value, "toarray"):
        return value.toarray()  # sparse
    if hasattr(value, "to_arrow"):
        value = value.to_arrow()  # polars
    if type(value).__module__.partition(".")[0] == "pyarrow" and hasattr(value, "to_pandas"):
        return value.to_pandas(integer_object_nulls=True)
    return np.asarray(value) if hasattr(value, "__array__") and not isinstance(value, type) else value


def _unmasked(array: np.ma.MaskedArray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    if array.dtype.names:
        return objects(list(array.tolist())).reshape(array.shape)
    mask = np.ma.getmaskarray(array)
    if not mask.any():
        return np.asarray(array.data)
    values = objects(list(np.asarray(array.data).ravel()))
    values[mask.ravel()] = None
    return values.reshape(array.shape)


def _of_tensor(tensor: Any) -> Any:
    """Return a torch tensor as an array: numpy takes none with a gradient, and has no bfloat16."""
    import numpy as np

    tensor = tensor.detach().cpu()
    for name in ("to_dense", "resolve_conj", "resolve_neg"):
        if hasattr(tensor, name) and (name != "to_dense" or getattr(tensor, "is_sparse", False)):
            tensor = getattr(tensor, name)()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return np.asarray(tensor.float().numpy())
