"""Reason 2: another output format. Writes one Parquet file for each input file, typed and with column names.

With `output_action: summary_only` Azure ML writes no predictions file; what the script writes to
AZUREML_BI_OUTPUT_PATH is the job's output. A file appears whole or not at all, so a second try does no harm.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mlflow
from model_files import column_types, model_folder, read_csv, replacing

model: Any
types: dict[str, Any]
output: Path


def init() -> None:
    """Load the model, once per worker process."""
    global model, types, output
    folder = model_folder()
    model = mlflow.pyfunc.load_model(folder)
    types = column_types(folder)
    output = Path(os.environ["AZUREML_BI_OUTPUT_PATH"])


def run(mini_batch: list[str]) -> list[str]:
    """Score a list of CSV files; return the name of the file written for each."""
    return [score(path) for path in mini_batch]


def score(path: str) -> str:
    """Score `x.csv`, write the records with their predictions to `x.csv.parquet`, return that name."""
    records = read_csv(path, types)
    # scikit-learn refuses to score nothing, as in a file of nothing but a header.
    records["prediction"] = model.predict(records) if len(records) else []
    records["prediction"] = records["prediction"].astype("int64")
    target = output / f"{Path(path).name}.parquet"
    with replacing(target) as partial:
        records.to_parquet(partial, index=False)
    return target.name
