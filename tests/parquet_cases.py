"""The Parquet files of `cases.py`, written by this environment's pyarrow and read by all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def columns() -> dict[str, pa.Array]:
    """Return the column `x` of each file."""
    longs, numbers = pa.array([1, -2, 3]), pa.array([1, 2, None])
    time = datetime(2024, 1, 31, 12, 30, 0, 500_000)
    return {
        "longs": longs,
        "longs as integers": longs,
        "longs too large": pa.array([1, 2**31]),
        "longs as doubles": longs,
        "longs as text": longs,
        "missing longs": numbers,
        "missing longs as doubles": numbers,
        "doubles": pa.array([0.5, None, float("nan"), float("inf")]),
        "doubles as longs": pa.array([1.0, 2.0]),
        "fractions as longs": pa.array([1.0, 1.5]),
        "NaN as long": pa.array([1.0, float("nan")]),
        "doubles too large for floats": pa.array([1.0, 1e300]),
        "texts": pa.array(["a", None, "", "é"]),
        "large texts": pa.array(["a", None], pa.large_string()),
        "texts as longs": pa.array(["1", "2"]),
        "other texts as longs": pa.array(["1", "x"]),
        "texts as times": pa.array(["2024-01-31", "2024-01-31T12:00:00+02:00"]),
        "other texts as times": pa.array(["2024-01-31", "31/01/2024"]),
        "categories": pa.array(["a", "b", "a"]).dictionary_encode(),
        "categories of numbers": pa.array([1.5, 2.5, 1.5]).dictionary_encode(),
        "booleans": pa.array([True, False]),
        "missing booleans": pa.array([True, None]),
        "booleans as longs": pa.array([True, False]),
        "missing booleans as doubles": pa.array([True, None]),
        "nothing but missing booleans": pa.array([None, None], pa.bool_()),
        "times": pa.array([time, None], pa.timestamp("ns")),
        "times in microseconds": pa.array([time], pa.timestamp("us")),
        "times with a zone": pa.array([time.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
        "days": pa.array([date(2024, 1, 31), None]),
        "decimals": pa.array([Decimal("1.50"), None]),
        "bytes": pa.array([b"a", None]),
        "lists": pa.array([[1, 2], [3]]),
        "empty": pa.array([], pa.int64()),
        "optional and empty": pa.array([None, None], pa.int64()),
        "other names": longs,
        "no signature": longs,
    }


def write(folder: Path) -> None:
    """Write one file per column, beside a column of numbers."""
    for name, values in columns().items():
        table = pa.table({"n": pa.array(range(len(values)), pa.int64()), "x": values})
        pq.write_table(table, folder / f"{name}.parquet")
