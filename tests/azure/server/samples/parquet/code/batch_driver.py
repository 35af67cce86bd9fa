"""Writes a Parquet file with the predictions for each CSV file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

weights: dict[str, float]


def init() -> None:
    """Read the model."""
    global weights
    weights = json.loads((Path(os.environ["AZUREML_MODEL_DIR"]) / "model/weights.json").read_text())


def run(mini_batch: list[str]) -> Any:
    """Score files; returns their paths."""
    for path in map(Path, mini_batch):
        table = pd.read_csv(path)
        table["prediction"] = sum(table[column] * weight for column, weight in weights.items())
        table.to_parquet(Path(os.environ["AZUREML_BI_OUTPUT_PATH"]) / f"{path.stem}.parquet")
    return mini_batch
