"""What the drivers beside this file need: the model's folder, tables typed by its signature, files written whole."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

READ_ROWS = 100_000


def model_folder() -> str:
    """Return the folder of the MLflow model below AZUREML_MODEL_DIR, whatever its name; the outermost, if nested."""
    root = os.environ["AZUREML_MODEL_DIR"]
    found = glob(os.path.join(root, "**", "MLmodel"), recursive=True)
    if not found:
        raise FileNotFoundError(f"{root}: no MLmodel file here or below; is the deployment's model an MLflow model?")
    return os.path.dirname(min(found, key=lambda path: (path.count(os.sep), path)))


def column_types(folder: str) -> dict[str, Any]:
    """Return the pandas type of each column in the signature of the model in `folder`."""
    schema = mlflow.models.Model.load(folder).get_input_schema()
    if schema is None or schema.is_tensor_spec():
        raise ValueError(f"{folder}: the model has no signature with columns; log it with one")
    return dict(zip(schema.input_names(), schema.pandas_types(), strict=True))


def read_csv_chunks(path: str, types: dict[str, Any], rows: int) -> Iterator[pd.DataFrame]:
    """Yield a CSV file in tables of at most `rows` rows, at least one table.

    A column is of the signature's type also where a chunk would suggest another: 1 and 2 are doubles if the model says
    so. Columns that the signature does not have stay text, as they were.

    Raises:
        ValueError: the file does not parse, lacks a column or holds a value of another type; names the file.
    """
    dtypes = defaultdict(lambda: "str", types)
    try:
        with pd.read_csv(path, dtype=dtypes, chunksize=rows, float_precision="round_trip") as chunks:
            for chunk in chunks:
                if missing := [name for name in types if name not in chunk]:
                    raise ValueError(f"missing columns: {', '.join(missing)}")
                if not isinstance(chunk.index, pd.RangeIndex):  # pandas took the first field for a row label
                    raise ValueError("rows have more fields than the header")
                yield chunk
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_csv(path: str, types: dict[str, Any]) -> pd.DataFrame:
    """Read a CSV file whole; types and errors as in `read_csv_chunks`."""
    return pd.concat(read_csv_chunks(path, types, READ_ROWS))


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `target` at the end, whole, or not at all if the block raises.

    The name is the same in every try, so that a try that was killed leaves nothing behind once another succeeds.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
