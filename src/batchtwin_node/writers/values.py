"""What is in a column or an array of predictions, whatever versions of numpy and pandas made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def is_missing(value: Any) -> bool:
    """Tell whether a scalar is None, NaN, NaT or NA."""
    import pandas as pd

    return value is None or value is pd.NA or bool(value != value)


def array_of(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the values of a column as they are: pandas would make floats of integers if some are missing."""
    import pandas as pd

    nullable = isinstance(values.dtype, pd.api.extensions.ExtensionDtype) and values.hasnans
    return values.to_numpy(dtype=object) if nullable else values.to_numpy()
