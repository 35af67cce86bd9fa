"""Models of other ages by plain `batchtwin score`: each in its own environment, as its conda.yaml asks for it."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from old_environments import BUILD, Environment

from support import Project, batchtwin

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def cached_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments that later runs find again."""
    monkeypatch.setenv("BATCHTWIN_ENVIRONMENTS", str(BUILD / "environments"))


def deployment(folder: Path) -> Path:
    """A deployment without a script or an environment: the model brings its own."""
    facts = {
        "name": "old",
        "endpoint_name": "old-endpoint",
        "type": "model",
        "model": "azureml:m:1",
        "compute": "azureml:c",
    }
    path = folder / "deployment.yml"
    path.write_text(yaml.safe_dump(facts))
    return path


def wrong(rows: list[list[str]], own: dict[str, dict[str, Any]]) -> list[object]:
    """What differs from the model's own predictions, value by value."""
    expected = [
        (str(at), value, file, str(entry["dtype"]))
        for file, entry in own.items()
        for at, value in enumerate(entry["values"])
    ]
    if len(rows) != len(expected):
        return [f"{len(rows)} rows, {len(expected)} expected"]
    differences: list[object] = []
    for (number, prediction, file), (at, value, own_file, dtype) in zip(rows, expected, strict=True):
        is_same = prediction == value if isinstance(value, str) else np.dtype(dtype).type(prediction) == value
        if not is_same or (number, file) != (at, own_file):
            differences.append((file, number, prediction, value))
    return differences


def test_every_model_predicts_as_it_does_itself(environment: Environment, models: Path, tmp_path: Path) -> None:
    path, right = deployment(tmp_path), []
    for folder in sorted(models.iterdir()):
        output = tmp_path / folder.name
        words = ("--input", folder / "input", "--model", folder / "model", "--output", output)
        done = batchtwin("score", path, *words, "--env", "auto", "--workers", "1")
        assert done.code == 0, f"{environment.name} {folder.name}: {done.out}{done.err}"
        text = (output / "named-outputs/score/predictions.csv").read_text()
        expected = json.loads((folder / "predictions.json").read_text())
        assert wrong(list(csv.reader(io.StringIO(text))), expected) == [], (environment.name, folder.name)
        right.append(folder.name)
    assert len(right) == 9


def test_here_a_pickle_of_another_python_is_refused(environment: Environment, models: Path, tmp_path: Path) -> None:
    """It can be wrong without an error; whoever insists has the differences beside it."""
    if environment.python == HERE:
        pytest.skip("the same Python")
    path, folder = deployment(tmp_path), models / "python"
    words = ("--input", folder / "input", "--model", folder / "model", "--output", tmp_path / "job", "--env", "here")
    done = batchtwin("score", path, *words)
    assert done.code == 2
    assert f"pickled by Python {environment.python}, this is Python {HERE}" in done.err
    forced = batchtwin("score", path, *words, "--force", "--workers", "1")
    assert (
        f"Warning: environment: python {sys.version.split()[0]} is installed, =={environment.python}.* is requested"
        in forced.err
    )


def test_here_none_is_wrong_in_silence(environment: Environment, models: Path, tmp_path: Path) -> None:
    """In the packages of batchtwin a model is refused, fails, is right, or its differences are told."""
    path = deployment(tmp_path)
    for folder in sorted(models.iterdir()):
        output = tmp_path / folder.name
        words = ("--input", folder / "input", "--model", folder / "model", "--output", output)
        done = batchtwin("score", path, *words, "--env", "here", "--workers", "1")
        case = f"{environment.name} {folder.name}: {done.code} {done.err}"
        if done.code == 2:
            assert f"pickled by Python {environment.python}, this is Python {HERE}" in done.err, case
            assert environment.python != HERE, case
            continue
        if environment.python != HERE:
            assert f"Warning: environment: python {sys.version.split()[0]} is installed" in done.err, case
        if done.code == 0:
            rows = list(csv.reader(io.StringIO((output / "named-outputs/score/predictions.csv").read_text())))
            expected = json.loads((folder / "predictions.json").read_text())
            assert wrong(rows, expected) == [] or "Warning: environment: " in done.err, case
        else:
            assert "Warning: environment: " in done.err, case


MICROSOFT = {
    "name": "mlflow-env",
    "channels": ["conda-forge"],
    "dependencies": [
        "python=3.8.5",
        "pip<=21.2.4",
        {
            "pip": [
                *("mlflow==1.30.1", "cloudpickle==2.0.0", "scikit-learn==0.24.2", "xgboost==1.3.3"),
                *("pandas==1.3.5", "numpy==1.21.6", "protobuf<4"),
            ]
        },
    ],
}
TRAIN = """
import sys, mlflow.sklearn, numpy as np, pandas as pd, yaml
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.compose import make_column_transformer
from xgboost import XGBClassifier
from mlflow.models.signature import infer_signature
table = pd.read_csv(sys.argv[1])
target = table.pop("target")
encode = make_column_transformer((OrdinalEncoder(), ["thal"]), remainder="passthrough")
model = make_pipeline(encode, XGBClassifier(use_label_encoder=False, eval_metric="logloss", n_estimators=20, n_jobs=1))
model.fit(table, target)
signature = infer_signature(table, model.predict(table))
conda = yaml.safe_load(open(sys.argv[2]))
mlflow.sklearn.save_model(model, sys.argv[3], conda_env=conda, signature=signature)
for path in sys.argv[4:]:
    print(*model.predict(pd.read_csv(path)[table.columns].astype(table.dtypes)), sep="\\n")
"""


def test_a_model_like_microsofts_sample_scores_data_with_one_command(project: Project, tmp_path: Path) -> None:
    """Python 3.8.5, xgboost 1.3.3, scikit-learn 0.24.2, a pickled pipeline; conda.yaml and nothing else says so."""
    import subprocess

    from batchtwin.environments.interpreters import NoPythonError, find_python
    from batchtwin.environments.requested import read_conda
    from batchtwin.environments.venv import build
    from support import ROOT

    try:
        find_python("3.8")
    except NoPythonError as error:
        pytest.skip(str(error))
    conda = tmp_path / "conda.yaml"
    conda.write_text(yaml.safe_dump(MICROSOFT))
    environment = build(read_conda(conda), "3.8", print)
    inputs = sorted((ROOT / "data").glob("*.csv"))
    model = tmp_path / "heart"
    done = subprocess.run(
        [environment.python, "-W", "ignore", "-c", TRAIN, ROOT / "data/train/heart.csv", conda, model, *inputs],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONNOUSERSITE": "1"},
    )
    assert done.returncode == 0, done.stderr
    (model / "requirements.txt").unlink(missing_ok=True)
    (model / "python_env.yaml").unlink(missing_ok=True)
    simple = ROOT / "deployment-simple/deployment.yml"
    scored = batchtwin(
        *("score", simple, "--input", ROOT / "data", "--model", model, "--output", tmp_path / "job", "--env", "auto")
    )
    assert scored.code == 0, scored.err
    text = (tmp_path / "job/named-outputs/score/predictions.csv").read_text()
    assert [row[1] for row in csv.reader(io.StringIO(text))] == done.stdout.split()
