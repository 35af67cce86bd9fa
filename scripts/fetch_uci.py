"""Fetch the real UCI Heart Disease (Cleveland) table and write it in the columns of the synthetic data.

Needs internet. Rows that lack a value are left out (on the table of 303 rows: 6, which lack `ca` or `thal`) and
their number is printed: the classifier's columns are required, and a guess is not a measurement.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
DATASET = 45
SECONDS = 20  # how long the server may be silent
COLUMNS = "age sex cp trestbps chol fbs restecg thalach exang oldpeak slope ca thal".split()
DISEASE = "num"  # 0: vessels narrowed by less than half; 1 to 4: by more
TARGET = "target"
THAL = {3: "normal", 6: "fixed", 7: "reversible"}


class TableError(ValueError):
    """The table is not the one that this script knows; the text says where it differs."""


def heart(table: pd.DataFrame) -> pd.DataFrame:
    """Return the UCI table in our columns, shape (complete rows, 13 + 1); rows with a missing value are left out.

    Whole numbers are int64, `oldpeak` float64, `thal` a word, `target` 1 where `num` is above 0, else 0.

    Raises:
        TableError: a column is missing, or holds what it does not hold at UCI.
    """
    missing = [name for name in (*COLUMNS, DISEASE) if name not in table]
    if missing:
        raise TableError(f"the fetched table has no column {', '.join(missing)}")
    complete = table[[*COLUMNS, DISEASE]].dropna().reset_index(drop=True)
    unknown = complete.loc[~complete["thal"].isin(list(THAL)), "thal"]
    if len(unknown):
        raise TableError(f"the fetched table has thal {unknown.iloc[0]}, known are {', '.join(map(str, THAL))}")
    result = complete[COLUMNS].copy()
    for name in COLUMNS:
        if name == "thal":
            result[name] = complete[name].astype("int64").map(THAL)
        elif name == "oldpeak":
            result[name] = complete[name].astype("float64")
        else:
            result[name] = complete[name].astype("int64")
    result[TARGET] = (complete[DISEASE] > 0).astype("int64")
    return result


def fetch() -> pd.DataFrame:
    """Return the table as UCI serves it, features and `num`.

    Raises:
        OSError: it cannot be reached.
    """
    from ucimlrepo import fetch_ucirepo

    socket.setdefaulttimeout(SECONDS)  # ucimlrepo sets none, and would wait for ever
    table: pd.DataFrame = fetch_ucirepo(id=DATASET).data.original
    return table


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        table.to_csv(partial, index=False, lineterminator="\n")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch and write; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "data/uci/heart.csv", help="file to write")
    out: Path = parser.parse_args(argv).out
    try:
        table = fetch()
    except Exception as error:  # ucimlrepo passes on whatever urllib, json and pandas raise
        reason = next(iter(str(error).splitlines()), "no reason given")
        print(
            f"fetch_uci: cannot fetch table {DATASET} from UCI ({type(error).__name__}: {reason}); "
            "it needs internet: try again there, or use data/train/heart.csv",
            file=sys.stderr,
        )
        return 1
    try:
        result = heart(table)
        write(result, out)
    except (TableError, OSError) as error:
        print(f"fetch_uci: {error}", file=sys.stderr)
        return 1
    left_out = len(table) - len(result)
    print(f"Wrote {len(result)} rows to {out}; left out {left_out} that lack a value")
    return 0


if __name__ == "__main__":
    sys.exit(main())
