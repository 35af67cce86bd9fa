"""Reason 5: files that Azure ML does not read by itself. Scores JSON Lines: one JSON object for each record.

Returns a list of texts, one line of the output each: the record with its prediction, as JSON again.
"""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pandas as pd
from model_files import column_types, model_folder

model: Any
types: dict[str, Any]


def init() -> None:
    """Load the model, once per worker process."""
    global model, types
    folder = model_folder()
    model = mlflow.pyfunc.load_model(folder)
    types = column_types(folder)


def run(mini_batch: list[str]) -> list[str]:
    """Score a list of JSON Lines files; return one line for each record."""
    return [line for path in mini_batch for line in score(path)]


def score(path: str) -> list[str]:
    """Score one file. Whatever is wrong with it, the error says its name."""
    try:
        records = read_records(path)
        predictions = model.predict(as_table(records)).tolist() if records else []
    except (ValueError, mlflow.MlflowException) as error:
        raise ValueError(f"{path}: {error}") from error
    pairs = zip(records, predictions, strict=True)
    return [json.dumps({**record, "prediction": prediction}) for record, prediction in pairs]


def read_records(path: str) -> list[dict[str, Any]]:
    """Read the objects of a file; blank lines are none. Raises ValueError with the number of a wrong line."""
    records = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise ValueError(f"a JSON object is expected, not {record!r}")
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from error
                records.append(record)
    return records


def as_table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the records as a table. JSON writes 2.0 as 2; where the model asks for a double, it is one again."""
    table = pd.DataFrame.from_records(records)
    doubles = [name for name, kind in types.items() if kind == "float64" and name in table]
    return table.astype({name: float for name in doubles if pd.api.types.is_integer_dtype(table[name])})
