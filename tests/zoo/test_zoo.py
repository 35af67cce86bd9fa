"""Models of many flavors, scored by the MLflow driver and by MLflow itself: each value is the same.

A process for each flavor runs the driver on each model, CSV and Parquet. What MLflow refuses, for pandas reads types
from a CSV file that the model does not take, is compared with the table that the file was written from, and is listed
in differences.yaml with the reason.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from support import ROOT

HERE = Path(__file__).parent
FLAVORS = ("catboost", "lightgbm", "onnx", "python", "sklearn", "spacy", "statsmodels", "xgboost")
REFUSED = "MLflow refuses the file as pandas reads it, and predicts this of the table"
# So many models and files there are at least, of each flavor: a zoo that is empty proves nothing.
LEAST = {"python": 130, "sklearn": 75, "xgboost": 10, "lightgbm": 8}
SECONDS = 600


@cache
def listed() -> frozenset[str]:
    """The models and files that differ, with a reason."""
    entries = yaml.safe_load((HERE / "differences.yaml").read_text())
    return frozenset(pair for entry in entries for pair in entry["models"])


@pytest.mark.parametrize("flavor", FLAVORS)
def test_values_are_those_of_mlflow(flavor: str, interpreter: Path, models: Path) -> None:
    command: list[str | Path] = [interpreter, "-I", HERE / "score.py", flavor, models, ROOT / "src"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=models, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
    differences: dict[str, str] = json.loads(done.stdout)
    assert len(differences) >= LEAST.get(flavor, 2)
    wrong = {pair: text for pair, text in differences.items() if text and not text.startswith(REFUSED)}
    assert wrong == {}
    refused = {pair for pair, text in differences.items() if text}
    assert refused == {pair for pair in listed() if pair.startswith(f"{flavor}-")}
