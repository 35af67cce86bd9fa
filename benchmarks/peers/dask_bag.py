"""Dask bag over files on a local cluster of one process per core."""

import functools
import os
import sys
from pathlib import Path
from typing import Any

import dask.bag
import mlflow.pyfunc
import pandas as pd
from dask.distributed import Client


@functools.cache
def load(model_folder: str) -> Any:
    """Load the model, once per process."""
    return mlflow.pyfunc.load_model(model_folder)


def score(path: Path, model_folder: str) -> str:
    """Score one file; return its lines."""
    predictions = load(model_folder).predict(pd.read_csv(path))
    return pd.DataFrame({"prediction": predictions, "file": path.name}).to_csv(header=False)


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder; write them in order."""
    paths = sorted(Path(inputs).glob("*.csv"))
    with Client(n_workers=os.cpu_count(), threads_per_worker=1, dashboard_address=None):
        lines = dask.bag.from_sequence(paths).map(score, model_folder).compute()
    Path(output).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
