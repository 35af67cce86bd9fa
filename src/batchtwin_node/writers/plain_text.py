"""`arrow_text` for environments without pyarrow: the same texts, one by one. Texts are a list here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batchtwin_node.writers.csv_field import csv_field

if TYPE_CHECKING:
    import numpy as np


def from_list(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list.

    Raises:
        UnicodeEncodeError: one of them cannot be written as UTF-8.
    """
    for text in texts:
        text.encode()
    return list(texts)


def first(texts: list[str]) -> str:
    """Return the first text."""
    return texts[0]


def scalar_texts(values: np.ndarray[Any, Any]) -> list[str]:
    """Return `str(value)` for each boolean, integer or float. Shapes: (n,), (n,)."""
    # numpy writes its doubles as Python does, ten times more slowly.
    return list(map(str, values.tolist() if values.dtype.kind in "biu" or values.dtype.name == "float64" else values))


def json_scalars(values: np.ndarray[Any, Any]) -> list[str]:
    """Return the JSON of each boolean, integer or float. Shapes: (n,), (n,)."""
    texts = scalar_texts(values)
    if values.dtype.kind == "b":
        return [text.lower() for text in texts]
    if values.dtype.kind == "f":
        return [text if math.isfinite(value) else "null" for text, value in zip(texts, values)]
    return texts


def bracketed(left: str, starts: Sequence[str], columns: Sequence[list[str]], right: str, count: int) -> list[str]:
    """Return `count` texts: `left`, then each start and its column's text, then `right`."""
    if not columns:
        return [left + right] * count
    rows = zip(*columns)
    return [left + "".join(start + text for start, text in zip(starts, row)) + right for row in rows]


def csv_lines(start: int, texts: list[str], name: str) -> bytes:
    """Return the lines `row,text,name`: `row` counts from `start`, texts are quoted here, `name` is already."""
    return "".join([f"{row},{csv_field(text)},{name}\n" for row, text in enumerate(texts, start)]).encode()
