"""The tables that the zoo's models score, from one small seed."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

ROWS = 30


def _random() -> np.random.Generator:
    return np.random.default_rng(7)


def numbers() -> pd.DataFrame:
    """Three columns of doubles."""
    return pd.DataFrame(_random().normal(size=(ROWS, 3)), columns=["a", "b", "c"])


def holes() -> pd.DataFrame:
    """The same, some of it missing."""
    table = numbers()
    return table.mask(_random().random(table.shape) < 0.2)


def unnamed() -> pd.DataFrame:
    """The same without names: they are 0, 1 and 2."""
    return pd.DataFrame(numbers().to_numpy())


def singles() -> pd.DataFrame:
    """The same in 32 bits."""
    return numbers().astype("float32")


def mixed() -> pd.DataFrame:
    """Numbers, texts and what is missing."""
    random = _random()
    table = pd.DataFrame({"n": np.arange(ROWS), "x": random.normal(size=ROWS)})
    table["color"] = random.choice(["red", "green", "blue, pale", 'so "called"'], ROWS)
    table.loc[::5, "x"] = np.nan
    return table


def typed() -> pd.DataFrame:
    """A column of each type that a signature knows."""
    days = [datetime.datetime(2024, 1, 1, hour) for hour in (0, 1, 2)]
    return pd.DataFrame(
        {
            "long": [1, 2**53 + 1, -3],
            "integer": np.array([1, 2, 3], dtype="int32"),
            "double": [0.1, 1e300, -0.0],
            "float": np.array([0.1, 0.2, 1e30], dtype="float32"),
            "boolean": [True, False, True],
            "string": ["a", "é, ü", 'q"uote'],
            "datetime": days,
        }
    )


def records() -> pd.DataFrame:
    """What the type hint `Record` asks for."""
    return pd.DataFrame({"name": ["a", "b", "c"], "n": [1, 2, 2**53 + 1], "x": [0.5, 1.5, 2.5], "more": [7, 8, 9]})


def optional() -> pd.DataFrame:
    """The same with optional fields, some of them missing."""
    table = records().drop(columns="more")
    return table.assign(ok=pd.Series([True, None, False], dtype=object), count=pd.array([None, 2, 3], dtype="Int64"))


def column(*values: Any) -> pd.DataFrame:
    """A table of one column."""
    return pd.DataFrame({"value": list(values)})


def texts() -> pd.DataFrame:
    """One column of texts."""
    return column("good film", "bad film", "so, so")


def nested() -> pd.DataFrame:
    """Lists, maps and objects, as only Parquet has them."""
    places = [{"city": "a", "zip": 1}, {"city": "b", "zip": 2}]
    return pd.DataFrame({"list": [[1.0, 2.0], [3.0]], "object": places, "map": [{"x": 1}, {"x": 2}]})


def pictures() -> pd.DataFrame:
    """One column of lists of four numbers."""
    return pd.DataFrame({"pixels": [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]})


def scalars() -> pd.DataFrame:
    """A column for each of two tensors."""
    return pd.DataFrame({"n": [1, 2, 3], "x": [0.5, 0.25, 1.0]})


def decimals() -> pd.DataFrame:
    """One column of exact numbers."""
    return column(Decimal("1.10"), Decimal("2.25"))


def labels() -> np.ndarray[Any, Any]:
    """A class for each row of `numbers`, of three."""
    table = numbers()
    return ((table["a"] > 0).astype(int) + (table["b"] > 0)).to_numpy()


def targets() -> np.ndarray[Any, Any]:
    """A number for each row of `numbers`."""
    table = numbers()
    return (table["a"] * 2 - table["c"]).to_numpy()
