"""What the files of an MLflow model show before it is loaded: code that loading runs, input that no file can hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from batchtwin.deployment.model import Model, read_mlmodel
from batchtwin.errors import ModelError

# Python's own format: reading it calls whatever it names. PyTorch stores one in its archives.
PICKLES = {".pkl": "pickle", ".pickle": "pickle", ".joblib": "joblib", ".cloudpickle": "cloudpickle"}
ARCHIVES = {".pt": "PyTorch", ".pth": "PyTorch"}
MOST_FILES = 5000
SHOWN = 5
TABLES = {".csv": "a CSV file", ".parquet": "a Parquet file", ".pqt": "a Parquet file"}
# Types of columns with lists or mappings as values, which no field of CSV is.
NESTED = {"array": "an Array", "object": "an Object", "map": "a Map"}
# Types of an array that the numbers of a CSV file can have.
NUMBERS = {"float64", "float32", "int64", "int32", "bool"}


def code_in_model(model: Model) -> list[str]:
    """Name the code that runs when a model is loaded: pickles, its own modules, models that are scripts.

    A model that scikit-learn's flavor saved with skops has none: skops makes only trusted types.
    """
    pickles = list(islice(_pickles(model.path), SHOWN + 1))
    pickles = [*pickles[:SHOWN], *(["more"] if len(pickles) > SHOWN else [])]
    flavors = _mlmodel(model.path).get("flavors")
    pyfunc = flavors.get("python_function") if isinstance(flavors, dict) else None
    if isinstance(pyfunc, dict):
        loader, code = pyfunc.get("loader_module"), pyfunc.get("code")
        if code:
            pickles.append(f"{code}/ (modules of the model's own)")
        if isinstance(loader, str) and loader.partition(".")[0] != "mlflow":
            pickles.append(f"{loader} (its loader_module)")
        if script := pyfunc.get("model_code_path"):
            pickles.append(f"{os.path.basename(str(script))} (the model is a script)")
    return pickles


def _pickles(path: Path) -> Iterator[str]:
    top = str(path if path.is_dir() else path.parent)
    for file in islice(_files(path), MOST_FILES):
        name = os.path.relpath(file, top)
        kind = {**PICKLES, **ARCHIVES}.get(os.path.splitext(file)[1].lower())
        if kind is not None or _is_pickle(file):
            yield f"{name} ({kind or 'pickle'})"


def _files(path: Path) -> Iterator[str]:
    """Yield the files of a model, except below folders that are links."""
    if path.is_file():
        yield str(path)
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names))


def _is_pickle(file: str) -> bool:
    """Whether a file begins and ends like a pickle of protocol 2 or later."""
    try:
        if not os.path.isfile(file):
            return False
        with open(file, "rb") as stream:
            head = stream.read(2)
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 1))
            return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5 and stream.read(1) == b"."
    except OSError:
        return False


def _mlmodel(path: Path) -> dict[str, Any]:
    """Return the MLmodel file, which has been read before; empty without one."""
    try:
        return read_mlmodel(path / "MLmodel")
    except ModelError:
        return {}


def _is_of_type_hint(path: Path) -> bool:
    """Whether the signature was made of a type hint: the model then gets whole rows."""
    content = _mlmodel(path)
    sections = (content, content.get("signature"))
    return any(isinstance(section, dict) and section.get("is_signature_from_type_hint") for section in sections)


def table_problem(model: Model, ending: str) -> str | None:
    """Say why no file with this ending fits the model's signature; None if one may."""
    if ending not in TABLES or not model.inputs or _is_of_type_hint(model.path):
        return None
    try:
        specs = json.loads(model.inputs)
        problems = (_problem(spec, ending, len(specs)) for spec in specs)
        return next((problem for problem in problems if problem), None)
    except (TypeError, KeyError, ValueError, AttributeError):
        return None  # MLflow checks the rest


def _problem(spec: dict[str, Any], ending: str, count: int) -> str | None:
    name = f"'{spec['name']}'" if spec.get("name") else "the input"
    if spec["type"] != "tensor":
        kind = NESTED.get(str(spec["type"]).lower())
        is_needed = kind and spec.get("required", True) and ending == ".csv"
        return f"{name} is {kind}, and {TABLES[ending]} has only numbers and texts" if is_needed else None
    if ending != ".csv":
        return None  # its columns may hold lists, whatever their shape
    shape, dtype = spec["tensor-spec"]["shape"], spec["tensor-spec"]["dtype"]
    sizes = shape[1:]
    tensor = f"{name} is a tensor of shape ({', '.join(map(str, shape))})"
    if len(sizes) > 1:
        return f"{tensor}, and {TABLES[ending]} has rows and columns only"
    if spec.get("name") and sizes not in ([], [1]):
        return f"{tensor}, and a column of {TABLES[ending]} has one number in a row"
    if count == 1 and not spec.get("name") and dtype not in NUMBERS:
        return f"{tensor} and type {dtype}, which {TABLES[ending]} does not give"
    return None
