"""Reason 3: files larger than memory. Reads, scores and writes a CSV in chunks of rows: any size, the same memory.

`run(mini_batch)` is called as ever, with file paths. Returned rows would have to stay in memory until the file ends,
so the predictions go straight to AZUREML_BI_OUTPUT_PATH (`output_action: summary_only`): one CSV for each input file,
of the same name, with header, rows in the input's order. It appears whole or not at all.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from model_files import column_types, model_folder, read_csv_chunks, replacing

CHUNK_ROWS = 50_000

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
    """Score one file, chunk by chunk; say how much memory it took."""
    target, rows = output / Path(path).name, 0
    with replacing(target) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        for chunk in read_csv_chunks(path, types, CHUNK_ROWS):
            append_predictions(chunk).to_csv(stream, header=rows == 0, index=False, lineterminator="\n")
            rows += len(chunk)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{target.name}: {rows} rows, peak memory of this process {peak} MiB")
    return target.name


def append_predictions(chunk: pd.DataFrame) -> pd.DataFrame:
    """Return the records with their predictions; scikit-learn refuses to score nothing."""
    return chunk.assign(prediction=model.predict(chunk) if len(chunk) else [])
