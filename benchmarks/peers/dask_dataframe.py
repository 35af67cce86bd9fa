"""Dask DataFrame on a local cluster of one process per core."""

import functools
import os
import sys
from typing import Any

import dask.dataframe as dd
import mlflow.pyfunc
import pandas as pd
from dask.distributed import Client


@functools.cache
def load(model_folder: str) -> Any:
    """Load the model, once per process."""
    return mlflow.pyfunc.load_model(model_folder)


def score(rows: pd.DataFrame, model_folder: str) -> pd.DataFrame:
    """Score one partition."""
    files = rows.pop("path").map(os.path.basename)
    return pd.DataFrame({"prediction": load(model_folder).predict(rows), "file": files})


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder; number the rows of each file as they stand in it."""
    with Client(n_workers=os.cpu_count(), threads_per_worker=1, dashboard_address=None):
        rows = dd.read_csv(os.path.join(inputs, "*.csv"), include_path_column="path")
        meta = {"prediction": "int64", "file": "object"}
        scored = rows.map_partitions(score, model_folder, meta=meta).compute()
    scored.insert(0, "row", scored.groupby("file").cumcount())
    scored.to_csv(output, header=False, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
