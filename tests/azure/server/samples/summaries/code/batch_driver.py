"""Summarises the texts of CSV files with a pipeline object."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import Pipeline, pipeline

model: Pipeline


def init() -> None:
    """Make the pipeline."""
    global model
    model = pipeline("summarization", model=str(Path(os.environ["AZUREML_MODEL_DIR"]) / "model"))


def run(mini_batch: list[str]) -> Any:
    """Score files; returns a row for each text."""
    tables = [pd.read_csv(path).assign(file=Path(path).name) for path in mini_batch]
    table = pd.concat(tables)
    table["summary"] = [one["summary_text"] for one in model(table["text"].tolist(), truncation=True)]
    return table[["file", "summary"]]
