"""The scoring script for models without one: scores an MLflow model, `predict` once per file [A].

It is a script like any other, with `init()` and `run(mini_batch)`, and reads its settings from the environment.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchtwin_node.driver import prefetch
from batchtwin_node.driver.coalesce import Coalescer
from batchtwin_node.driver.parts import score_part
from batchtwin_node.driver.refusals import is_from_type_hint, is_refusal, refusal_of
from batchtwin_node.errors import FileFailure
from batchtwin_node.protocol import BadFile, FilePart
from batchtwin_node.readers import read
from batchtwin_node.readers.bad_file import BadFileError, NotInPartsError
from batchtwin_node.readers.csv_batch import read_many, split_files
from batchtwin_node.readers.signature import Signature
from batchtwin_node.script.results import Note, OutputLines, is_table
from batchtwin_node.writers.predictions import image_lines, tabular_lines, text_module

GARBAGE_OBJECTS = 50_000
ONE_COLUMN = Note(
    "the type hint of the model's predict requires a list of single values: MLflow passes only one column of a table, "
    "the first one, or, if texts are required, the first one that begins with a text"
)
_model: Any = None
_signature: Signature | None = None
_quarantine = False
_coalesce: Coalescer | None = None
_left_out_columns = False


def preload() -> None:
    """Import what reads, loads and writes before workers are forked, so that they share it."""
    import mlflow.pyfunc  # noqa: F401

    text_module()


def load(folder: str) -> None:
    """Load the model, before workers are forked or in a worker. It predicts nothing."""
    global _model
    import mlflow.pyfunc

    _model = mlflow.pyfunc.load_model(folder)


def init() -> None:
    """Load the model below AZUREML_MODEL_DIR and take the types of its input from its signature."""
    global _model, _signature, _quarantine, _coalesce
    # pandas makes many objects and few cycles; by default (700) Python looks for them several times per file.
    gc.set_threshold(GARBAGE_OBJECTS)
    if _model is None:
        [folder] = (path.parent for path in Path(os.environ["AZUREML_MODEL_DIR"]).glob("*/MLmodel"))
        preload()
        load(str(folder))
    _signature = Signature.of(_model.metadata.get_input_schema(), is_from_type_hint(_model))
    _quarantine = os.environ.get("BATCHTWIN_BAD_FILES") == "quarantine"
    if os.environ.get("BATCHTWIN_COALESCE"):
        _coalesce = Coalescer(_read, _score, _predict, _signature)


def run(mini_batch: list[str]) -> list[OutputLines | BadFile | Note]:
    """Score each file; return one element per file, and perhaps Notes."""
    results: list[OutputLines | BadFile | Note]
    if _coalesce is not None:
        results = _coalesce(mini_batch)
    else:
        results = [data if isinstance(data, BadFile) else _score(path, data) for path, data in _data(mini_batch)]
    return [*results, ONE_COLUMN] if _left_out_columns else results


def run_part(path: str, part: FilePart) -> list[OutputLines]:
    """Score some rows of a file, and check that the model treats rows one by one."""
    try:
        return [score_part(path, part, _signature, _predict)]
    except (BadFileError, NotInPartsError):
        raise
    except Exception as error:
        if is_refusal(error):  # only the whole file tells the row
            raise NotInPartsError("MLflow refuses some of its data") from None
        raise FileFailure(path) from error


def _data(paths: list[str]) -> Iterator[tuple[str, Any]]:
    batch = read_many(paths, _signature) if len(paths) > 1 else None
    if batch is not None:
        yield from split_files(batch)
    else:
        yield from ((path, _read(path)) for path in paths)


def _read(path: str) -> Any:
    table = prefetch.load(path)
    if table is not None:
        return table
    try:
        return read(path, _signature)
    except BadFileError as error:
        return _refuse(error)
    except BaseException as error:
        raise FileFailure(path) from error


def _refuse(error: BadFileError) -> BadFile:
    """Raise; where bad files are put aside, return a description instead."""
    if _quarantine:
        return error.bad_file
    raise error from None


def _score(path: str, data: Any) -> OutputLines | BadFile:
    """Predict and write; a failure names the file."""
    try:
        return _lines(os.path.basename(path), data)
    except Exception as error:
        refusal = refusal_of(_model, path, _input(data), error)
        if refusal is not None:
            return _refuse(refusal)
        raise FileFailure(path) from error
    except BaseException as error:
        raise FileFailure(path) from error


def _lines(name: str, data: Any) -> OutputLines:
    if not is_table(data):
        return image_lines(_predict(data), name)
    # Models fail on tables without rows, and there is nothing to predict [R].
    lines = tabular_lines(_predict(data), name) if len(data) else OutputLines(b"", 0)
    return replace(lines, read=len(data))


def _predict(data: Any) -> Any:
    global _left_out_columns
    if _signature is not None and _signature.takes_one_column and is_table(data) and len(data.columns) > 1:
        _left_out_columns = True
    return _model.predict(_input(data))


def _input(data: Any) -> Any:
    """Return the model's input: an image under its name, if it has one; a table with the column names of MLflow."""
    if _signature is None:
        return data
    if is_table(data):
        return _signature.renamed(data)
    name = _signature.tensors[0].name if _signature.tensors else None
    return data if name is None else {name: data}
