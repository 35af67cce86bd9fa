"""Reason 4: more than `predict`. Loads the model as scikit-learn's and decides by a threshold of its own.

The threshold is the environment variable DECISION_THRESHOLD of the deployment, 0.5 without. Each row of the output:
file name, row in the file (from 0), probability, decision; space separated, as Azure ML writes a DataFrame.
"""

from __future__ import annotations

import os
from typing import Any

import mlflow.sklearn
import pandas as pd
from model_files import column_types, model_folder, read_csv

classifier: Any
types: dict[str, Any]
threshold: float


def init() -> None:
    """Load the model and the threshold, once per worker process."""
    global classifier, types, threshold
    threshold = read_threshold(os.environ.get("DECISION_THRESHOLD", "0.5"))
    print(f"decision threshold {threshold}")
    folder = model_folder()
    classifier = mlflow.sklearn.load_model(folder)
    types = column_types(folder)


def read_threshold(text: str) -> float:
    """Return the threshold, or raise ValueError for what is no probability: better no job than a wrong one."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"DECISION_THRESHOLD is {text!r}; it has to be a number from 0 to 1")
    return value


def run(mini_batch: list[str]) -> pd.DataFrame:
    """Score a list of CSV files; return one row for each of theirs."""
    return pd.concat([score(path) for path in mini_batch], ignore_index=True)


def score(path: str) -> pd.DataFrame:
    """Score one file."""
    records = read_csv(path, types)[list(types)]  # no pyfunc here, so nobody else drops the other columns
    probability = classifier.predict_proba(records)[:, 1] if len(records) else pd.Series(dtype="float32")
    decision = (probability >= threshold).astype("int64")
    return pd.DataFrame(
        {"file": os.path.basename(path), "row": records.index, "probability": probability, "decision": decision}
    )
