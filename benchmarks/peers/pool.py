"""A multiprocessing pool over files: one process per core, each with its own model."""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd

model: Any = None


def load(model_folder: str) -> None:
    """Load the model, once per process."""
    global model
    model = mlflow.pyfunc.load_model(model_folder)


def score(path: Path) -> str:
    """Score one file; return its lines."""
    predictions = model.predict(pd.read_csv(path))
    return pd.DataFrame({"prediction": predictions, "file": path.name}).to_csv(header=False)


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder, as many at a time as there are cores; write them in order."""
    paths = sorted(Path(inputs).glob("*.csv"))
    with (
        multiprocessing.Pool(os.cpu_count(), load, [model_folder]) as pool,
        open(output, "w", encoding="utf-8") as lines,
    ):
        lines.writelines(pool.imap(score, paths))


if __name__ == "__main__":
    main(*sys.argv[1:])
