"""What reading a wide table costs whose columns the signature has in another order: `python -m benchmarks.reading`.

Prints the CPU seconds of our reader divided by those of pandas without types, for CSV and for Parquet, each the best of
three: a text a line.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from batchtwin_node.readers import read
from batchtwin_node.readers.signature import Column, Signature

COLUMNS, ROWS, TIMES = 8000, 20, 3


def main() -> int:
    """Write the tables, read them in turn, print the ratios."""
    names = [f"gene_{number}" for number in range(COLUMNS)]
    table = pd.DataFrame(np.random.default_rng(7).random((ROWS, COLUMNS)).round(4), columns=names)
    signature = Signature(tuple(Column(name, "float") for name in reversed(names)))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        csv, parquet = Path(folder, "wide.csv"), Path(folder, "wide.parquet")
        table.to_csv(csv, index=False)
        table.to_parquet(parquet)
        print(ratio(lambda: read(str(csv), signature), lambda: pd.read_csv(csv)))
        print(ratio(lambda: read(str(parquet), signature), lambda: pd.read_parquet(parquet)))
    return 0


def ratio(ours: Callable[[], object], plain: Callable[[], object]) -> float:
    """Return the least CPU seconds of one, divided by those of the other; after a first call of each."""
    ours()
    plain()
    times = [(cpu_seconds(ours), cpu_seconds(plain)) for _ in range(TIMES)]
    return min(mine for mine, _ in times) / min(theirs for _, theirs in times)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return what a call takes of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
