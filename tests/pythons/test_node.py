"""batchtwin_node under Python 3.8 and later, in environments of every age of MLflow, alone on the path."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import parquet_cases
import pytest
from old_environments import Environment

HERE = Path(__file__).parent
IMPORT_ALL = """
import pkgutil, sys
before = set(sys.modules)
sys.path.append(sys.argv[1])
import batchtwin_node, azureml_user
for package in (batchtwin_node, azureml_user):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != "batchtwin_node.__main__":
            __import__(module.name)
for name in set(sys.modules) - before:
    file = getattr(sys.modules[name], "__file__", None) or ""
    if "site-packages" in file or "dist-packages" in file:
        print(name)
print("imported", len([name for name in sys.modules if name.startswith("batchtwin_node")]))
"""
# A refusal of pandas itself: pandas 2 reads True as 1.0 in a column of doubles with missing values, as MLflow does.
PANDAS_1 = {"csv: double, booleans and missing"}


def call(environment: Environment, *words: str | Path) -> str:
    """Run Python in an environment, with nothing of ours on its path; return what it prints."""
    # -I takes no notice of PYTHONPATH, so the path is set in the program.
    start = f"import runpy, sys; sys.path[:0] = {environment.path}; sys.argv[:1] = []; "
    program = start + "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [str(environment.interpreter), "-I", "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_imports_nothing_but_the_standard_library(
    environment: Environment, packages: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("note", f"Python {environment.python}, {', '.join(environment.packages)}")
    command = [str(environment.interpreter), "-I", "-c", IMPORT_ALL, str(packages)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    [line] = done.stdout.splitlines()
    assert int(line.removeprefix("imported ")) > 30


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the cases, and what this environment makes of them."""
    folder = tmp_path_factory.mktemp("cases")
    parquet_cases.write(folder)
    command = [sys.executable, "-I", str(HERE / "cases.py"), str(packages), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return folder, json.loads(done.stdout)


def test_reads_and_writes_as_here(
    environment: Environment, packages: Path, cases: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, expected = cases
    for path in folder.glob("*.parquet"):
        (tmp_path / path.name).symlink_to(path)
    seen = json.loads(call(environment, HERE / "cases.py", packages, tmp_path))
    assert seen.keys() == expected.keys()
    different = {name for name in seen if seen[name] != expected[name]}
    no_arrow = {name for name in different if "Parquet files need pyarrow" in str(seen[name])}
    parquet = {name for name in expected if name.startswith("parquet: ")}
    assert no_arrow == (set() if environment.has_arrow or environment.has_fastparquet else parquet)
    known = PANDAS_1 if environment.python == "3.8" else set()
    assert different - no_arrow == known


def test_predicts_what_the_model_predicts(environment: Environment, packages: Path, models: Path) -> None:
    scored = json.loads(call(environment, HERE / "score_models.py", packages, models))
    assert len(scored) == 9
    for name, text in scored.items():
        own = json.loads((models / name / "predictions.json").read_text())
        rows = list(csv.reader(io.StringIO(text)))
        expected = [
            (str(at), value, file, entry["dtype"])
            for file, entry in own.items()
            for at, value in enumerate(entry["values"])
        ]
        assert len(rows) == len(expected) > 0
        for (number, prediction, file), (at, value, own_file, dtype) in zip(rows, expected, strict=True):
            assert (number, file) == (at, own_file)
            is_same = prediction == value if isinstance(value, str) else np.dtype(dtype).type(prediction) == value
            assert is_same, (name, file, number, prediction, value)
