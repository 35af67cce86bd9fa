"""Reason 1: other columns in the output. Appends prediction and probability to each record.

Azure ML writes a DataFrame space separated, without header: the columns of the input, `prediction`, `probability`.
"""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from model_files import column_types, model_folder, read_csv

model: Any
types: dict[str, Any]


def init() -> None:
    """Load the model, once per worker process."""
    global model, types
    folder = model_folder()
    model = mlflow.pyfunc.load_model(folder)
    types = column_types(folder)


def run(mini_batch: list[str]) -> pd.DataFrame:
    """Score a list of CSV files; return one row for each of theirs."""
    records = pd.concat([read_csv(path, types) for path in mini_batch], ignore_index=True)
    if records.empty:  # files of nothing but a header; scikit-learn refuses to score nothing
        return records
    # The pyfunc model predicts labels only; the model that it wraps has the probabilities, too.
    probability = model.get_raw_model().predict_proba(records[list(types)])[:, 1]
    return records.assign(prediction=model.predict(records), probability=probability)
