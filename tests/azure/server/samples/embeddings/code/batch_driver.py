"""Writes a file of embeddings, which a service computes, for each CSV file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import openai
import pandas as pd

name: str


def init() -> None:
    """Read which model of the service is meant."""
    global name
    name = json.loads((Path(os.environ["AZUREML_MODEL_DIR"]) / "model/model.json").read_text())["model"]


def run(mini_batch: list[str]) -> Any:
    """Score files; returns their paths."""
    for path in map(Path, mini_batch):
        rows = openai.embed(name, pd.read_csv(path)["text"].tolist())
        (Path(os.environ["AZUREML_BI_OUTPUT_PATH"]) / f"{path.stem}.json").write_text(json.dumps(rows))
    return mini_batch
