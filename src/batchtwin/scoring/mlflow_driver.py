"""The scoring script for those who wrote none: scores an MLflow model, `predict` once per file [A].

It is a script like any other: `init()` and `run(mini_batch)`, and it learns what it needs from the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.types import DataType

from batchtwin.scoring.bad_file import BadFileError
from batchtwin.scoring.columns import Column
from batchtwin.scoring.predictions import tabular_lines
from batchtwin.scoring.readers import read
from batchtwin.scoring.results import Lines
from batchtwin.spec.messages import BadFile

_model: Any = None
_columns: tuple[Column, ...] | None = None
_quarantine = False


def init() -> None:
    """Load the model below AZUREML_MODEL_DIR and take the column types from its signature."""
    global _model, _columns, _quarantine
    [folder] = (path.parent for path in Path(os.environ["AZUREML_MODEL_DIR"]).glob("*/MLmodel"))
    _model = mlflow.pyfunc.load_model(str(folder))
    _columns = columns_of(_model.metadata.get_input_schema())
    _quarantine = os.environ.get("BATCHTWIN_BAD_FILES") == "quarantine"


def columns_of(schema: Any) -> tuple[Column, ...] | None:
    """Return the columns of an MLflow input schema; None if it does not name and type them one by one."""
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    if not all(isinstance(spec.type, DataType) for spec in schema.inputs):
        return None
    return tuple(Column(spec.name, spec.type.name, spec.required) for spec in schema.inputs)


def run(mini_batch: list[str]) -> list[Lines | BadFile]:
    """Score each file; one element per file."""
    return [_score(path) for path in mini_batch]


def _score(path: str) -> Lines | BadFile:
    try:
        frame = read(path, _columns)
    except BadFileError as error:
        if _quarantine:
            return error.bad_file
        raise
    if frame.empty:
        return Lines(b"", 0)
    return tabular_lines(_model.predict(frame), os.path.basename(path))
