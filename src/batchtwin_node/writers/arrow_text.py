"""Whole columns as text at once, in Arrow. `plain_text` gives the same texts without Arrow.

Texts are an array of `large_string` here. Numbers are written as Python's `str` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# Between these limits (fractions, whole numbers) neither Python, numpy nor Arrow writes an exponent.
SMALLEST = 1e-4
LARGEST = {"float64": (1e9, 1e15), "float32": (1e6, 1e6)}


def from_list(texts: Sequence[str]) -> pa.Array:
    """Return Python's texts as an array.

    Raises:
        UnicodeEncodeError: one of them cannot be written as UTF-8.
    """
    import pyarrow as pa

    return pa.array(texts, pa.large_string())


def first(texts: pa.Array) -> str:
    """Return the first text."""
    return str(texts[0].as_py())


def scalar_texts(values: np.ndarray[Any, Any]) -> pa.Array:
    """Return `str(value)` for each boolean, integer or float. Shapes: (n,), (n,)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.dtype.kind
    if kind == "b":
        return pc.if_else(pa.array(values), _text("True"), _text("False"))
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if kind in "iu":
        return pa.array(values).cast(pa.large_string())
    if values.dtype.name not in LARGEST:
        return from_list([str(value) for value in values])
    return _floats(values)


def json_scalars(values: np.ndarray[Any, Any]) -> pa.Array:
    """Return the JSON of each boolean, integer or float. Shapes: (n,), (n,)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = scalar_texts(values)
    if values.dtype.kind == "b":
        return pc.utf8_lower(texts)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return pc.if_else(pa.array(np.isfinite(values)), texts, _text("null"))
    return texts


def _floats(values: np.ndarray[Any, Any]) -> pa.Array:
    """Write the shortest digits that give the same number again, in Arrow where it writes them as Python does."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

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
        replacements = from_list([str(value) for value in values[rest]])
        texts = pc.replace_with_mask(texts, pa.array(rest), replacements)
    return texts


def bracketed(left: str, starts: Sequence[str], columns: Sequence[pa.Array], right: str, count: int) -> pa.Array:
    """Return `count` texts: `left`, then each start and its column's text, then `right`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not columns:
        return pa.array(repeat(left + right, count), pa.large_string(), size=count)
    parts = [part for pair in zip(starts, columns) for part in pair]
    return pc.binary_join_element_wise(*map(_large, [left, *parts, right]), _large(""))


def csv_lines(start: int, texts: pa.Array, name: str) -> bytes:
    """Return the lines `row,text,name`: `row` counts from `start`, texts are quoted here, `name` is already."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = pa.array(np.arange(start, start + len(texts))).cast(pa.large_string())
    parts = [rows, ",", _csv_fields(texts), f",{name}\n", ""]
    lines = pc.binary_join_element_wise(*map(_large, parts))
    offsets, data = lines.buffers()[1:]
    ends = np.frombuffer(offsets, dtype=np.int64)
    return bytes(data[ends[lines.offset] : ends[lines.offset + len(lines)]])


def _csv_fields(texts: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    special = pc.match_substring_regex(texts, pattern='[,"\n\r]')
    if not pc.any(special).as_py():
        return texts
    doubled = pc.replace_substring(texts, pattern='"', replacement='""')
    return pc.if_else(special, pc.binary_join_element_wise(*map(_large, ['"', doubled, '"', ""])), texts)


def _large(part: str | pa.Array) -> pa.Scalar | pa.Array:
    return _text(part) if isinstance(part, str) else part


def _text(text: str) -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(text, pa.large_string())
