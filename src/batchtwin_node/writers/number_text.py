"""Arrays of scalars -> text as Python's `str` gives it, for whole columns at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# From here on, up to (fractions, whole numbers), neither Python, numpy nor Arrow writes an exponent.
SMALLEST = 1e-4
LARGEST = {"float64": (1e9, 1e15), "float32": (1e6, 1e6)}


def is_missing(value: Any) -> bool:
    """Tell whether a scalar is None, NaN, NaT or NA."""
    return value is None or value is pd.NA or bool(value != value)


def array_of(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the values of a column as they are: pandas would make floats of integers if some are missing."""
    nullable = isinstance(values.dtype, pd.api.extensions.ExtensionDtype) and values.hasnans
    return values.to_numpy(dtype=object) if nullable else values.to_numpy()


def scalar_texts(values: np.ndarray[Any, Any]) -> pa.Array:
    """Return `str(value)` for each boolean, integer or float. Shapes: (n,), (n,)."""
    kind = values.dtype.kind
    if kind == "b":
        return pc.if_else(pa.array(values), _text("True"), _text("False"))
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if kind in "iu":
        return pa.array(values).cast(pa.large_string())
    if values.dtype.name not in LARGEST:
        return pa.array([str(value) for value in values], pa.large_string())
    return _floats(values)


def _floats(values: np.ndarray[Any, Any]) -> pa.Array:
    """Shortest digits that give the same number again, in Arrow where it writes them as Python does."""
    fractions, wholes = LARGEST[values.dtype.name]
    size = np.abs(values, dtype=np.float64)
    at_hand = np.where(size < wholes, values, 0.5)
    whole = (at_hand == np.trunc(at_hand)) & ~(np.signbit(values) & (values == 0))
    fraction = ~whole & (size >= SMALLEST) & (size < fractions)
    texts = pa.array(values).cast(pa.large_string())
    if whole.any():
        integers = pa.array(np.where(whole, values, 0).astype(np.int64)).cast(pa.large_string())
        integers = pc.binary_join_element_wise(integers, _text(".0"), _text(""))
        texts = pc.if_else(pa.array(whole), integers, texts)
    rest = ~(whole | fraction)
    if rest.any():
        own = pa.array([str(value) for value in values[rest]], pa.large_string())
        texts = pc.replace_with_mask(texts, pa.array(rest), own)
    return texts


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())
