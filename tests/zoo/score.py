"""Score the models of one flavor by batchtwin's MLflow driver and by MLflow itself, and print what differs as JSON.

Runs in the zoo's environment: `python score.py FLAVOR FOLDER NODE`. Models are made in FOLDER, if they are not there;
NODE is the folder that `batchtwin_node` is imported from.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

warnings.simplefilter("ignore")
sys.path[:0] = [sys.argv[3]]
sys.path += [str(Path(__file__).parents[1])]

from zoo import expected, models  # noqa: E402
from zoo.models import ENTRIES, Entry  # noqa: E402
from zoo.python_models import python_zoo  # noqa: E402

REFUSED = "MLflow refuses the file as pandas reads it, and predicts this of the table"
READ: dict[str, Callable[[Path], pd.DataFrame]] = {"csv": pd.read_csv, "parquet": pd.read_parquet}


def make(entry: Entry, folder: Path) -> None:
    """Make a model and its input files, unless they are there; they appear whole or not at all."""
    if folder.exists():
        return
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "azureml").mkdir(parents=True)
    entry.save(partial / "azureml/model")
    table = entry.table()
    if "csv" in entry.formats:
        table.to_csv(partial / "table.csv", index=False)
    if "parquet" in entry.formats:
        table.to_parquet(partial / "table.parquet", index=False)
    partial.rename(folder)


def lines_of(folder: Path, file: Path) -> list[str]:
    """The predictions that the driver writes for a file, as a CSV reader sees them."""
    driver: Any = importlib.import_module("batchtwin_node.driver.mlflow_driver")
    os.environ["AZUREML_MODEL_DIR"] = str(folder / "azureml")
    driver = importlib.reload(driver)  # what it knows of the last model
    driver.init()
    [lines, *_] = driver.run([str(file)])
    rows = list(csv.reader(io.StringIO(lines.data.decode(), newline="")))
    assert [row[0] for row in rows] == [str(at) for at in range(len(rows))]
    assert {row[2] for row in rows} <= {file.name}
    return [row[1] for row in rows]


def predicted(folder: Path, table: pd.DataFrame) -> list[Any]:
    """What MLflow itself predicts."""
    import mlflow

    model: Any = mlflow.pyfunc.load_model(str(folder / "azureml/model"))
    return expected.rows_of(model.predict(table))


def difference(entry: Entry, folder: Path, file: Path) -> str:
    """Say how the driver's lines for a file differ from what MLflow predicts of it as pandas reads it.

    If MLflow refuses that, it gets the table that the file was written from. Empty if nothing differs.
    """
    refused = ""
    try:
        values = predicted(folder, READ[file.suffix[1:]](file))
    except Exception as error:
        refused = f"{REFUSED} ({_first_line(error)})"
        values = predicted(folder, entry.table())
    texts = lines_of(folder, file)
    if len(texts) != len(values):
        return f"{len(texts)} rows, MLflow has {len(values)}"
    wrong = [at for at, (text, value) in enumerate(zip(texts, values, strict=True)) if not expected.same(text, value)]
    return f"row {wrong[0]}: {texts[wrong[0]]!r}, MLflow has {values[wrong[0]]!r}" if wrong else refused


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def main() -> None:
    """Print an object: model and format -> difference, empty for none."""
    flavor, root = sys.argv[1], Path(sys.argv[2])
    make_zoo = python_zoo if flavor == "python" else getattr(models, f"{flavor}_zoo")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # flavors print
    make_zoo()
    results: dict[str, str] = {}
    for entry in ENTRIES:
        folder = root / f"{flavor}-{entry.name}"
        make(entry, folder)
        for kind in entry.formats:
            try:
                text = difference(entry, folder, folder / f"table.{kind}")
            except Exception as error:
                text = f"{_first_line(error)}: {_first_line(error.__cause__ or error)}"
            results[f"{folder.name} {kind}"] = text
    json.dump(results, out)


if __name__ == "__main__":
    main()
