"""What in predictions may depend on other rows: the types of a model's tables and arrays.

A `Series([1, None])` holds floats, and `Series([1])` a whole number, which has another text. Predictions of one form
have the same texts wherever that form occurs.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from batchtwin_node.script.results import is_table
from batchtwin_node.writers.values import array_of

if TYPE_CHECKING:
    import numpy as np

    from batchtwin_node.writers.predictions import Rows


def form_of(rows: Rows) -> Hashable:
    """Return names and types of predictions, and what else their texts depend on."""
    import numpy as np

    if isinstance(rows, np.ndarray):
        return _form(rows)
    columns = [array_of(rows.iloc[:, at]) for at in range(len(rows.columns))]
    return tuple(zip(map(str, rows.columns), map(_form, columns)))


def is_plain_numbers(rows: Rows) -> bool:
    """Whether these are numbers of one type: their form says all about them. About texts and columns it says little."""
    return not is_table(rows) and rows.dtype.kind in "biuf"


def _form(values: np.ndarray[Any, Any]) -> tuple[str, Hashable]:
    """Return whether whole numbers may be floats only because of others, booleans numbers, and days times."""
    import numpy as np

    kind = values.dtype.kind
    if kind == "f":
        finite = values[np.isfinite(values)]
        return values.dtype.name, (bool(np.isnan(values).any()), bool((finite == np.trunc(finite)).all()))
    if kind in "iu":
        return values.dtype.name, bool(((values == 0) | (values == 1)).all())
    if kind in "mM":
        times = values[~np.isnat(values)]
        is_days = bool((times.astype(f"{kind}8[D]").astype(values.dtype) == times).all())
        return values.dtype.name, (len(times) < len(values), is_days)
    return kind, frozenset(map(type, values.ravel().tolist())) if kind == "O" else None
