"""`batchtwin image` for a model of another age: MLflow 1.30 on Python 3.8, and a job in that image."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from batchtwin.environments.interpreters import NoPythonError, find_python
from support import batchtwin

pytestmark = pytest.mark.container
Docker = Callable[..., str]

BASE = "batchtwin-tests:python3.8"
# As `python:3.8-slim` is, which no package index has: an image with this interpreter on its path.
DOCKERFILE = """\
FROM python:3.11-slim-bookworm
COPY python /opt/python3.8
ENV PATH=/opt/python3.8/bin:$PATH LD_LIBRARY_PATH=/opt/python3.8/lib
"""
CONDA = {
    "dependencies": [
        "python=3.8.5",
        {
            "pip": [
                *("mlflow==1.30.1", "cloudpickle==2.0.0", "scikit-learn==1.0.2", "pandas==1.3.5", "numpy==1.21.6"),
                "protobuf<4",
            ]
        },
    ]
}
# Rows whose class is not told by one column alone.
TRAIN = """
import sys, mlflow.sklearn, pandas as pd
from sklearn.ensemble import RandomForestClassifier
from mlflow.models.signature import infer_signature
folder = "/job"
table = pd.DataFrame({"a": [float(n % 7) for n in range(60)], "b": [float(n % 5) for n in range(60)]})
target = (table.a * table.b % 3 > 1).astype(int)
model = RandomForestClassifier(n_estimators=10, random_state=0).fit(table, target)
mlflow.sklearn.save_model(model, folder + "/model", signature=infer_signature(table, model.predict(table)))
table.to_csv(folder + "/inputs/rows.csv", index=False)
print(sys.version.split()[0], mlflow.__version__, *model.predict(table))
"""


@pytest.fixture(scope="module")
def base(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with Python 3.8: the one of this machine, put into the base image. Without it the test is not run."""
    try:
        python = find_python("3.8").resolve()
    except NoPythonError as error:
        pytest.skip(str(error))
    context = tmp_path_factory.mktemp("base")
    ignored = shutil.ignore_patterns("test", "tests", "__pycache__", "site-packages", "share")
    shutil.copytree(python.parent.parent, context / "python", symlinks=True, ignore=ignored)
    (context / "Dockerfile").write_text(DOCKERFILE)
    docker("build", "--quiet", "--tag", BASE, context)
    return BASE


def test_an_image_for_mlflow_1_30_on_python_3_8_scores_as_the_model_does(
    engine: str, docker: Docker, base: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "inputs").mkdir()
    facts = {
        **{"name": "old", "endpoint_name": "old-endpoint", "type": "model", "compute": "azureml:c"},
        **{"model": "azureml:m:1", "environment": {"image": base, "conda_file": CONDA}},
    }
    path = tmp_path / "deployment.yml"
    path.write_text(yaml.safe_dump(facts))
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "model").mkdir()
    built = batchtwin("image", path, "--model", tmp_path / "model", "--engine", engine)
    assert built.code == 0, built.err[-3000:]
    tag = built.out.strip()
    (tmp_path / "model").rmdir()
    inside = ("run", "--rm", "--network", "none", "--user", "0", "--volume", f"{tmp_path}:/job", tag)
    python, mlflow, *expected = docker(*inside, "python", "-W", "ignore", "/job/train.py").splitlines()[-1].split()
    assert (python.rpartition(".")[0], mlflow) == ("3.8", "1.30.1")
    words = ("--input", tmp_path / "inputs", "--model", tmp_path / "model", "--output", tmp_path / "job")
    done = batchtwin("score", path, *words, "--env", f"image:{tag}", "--engine", engine)
    assert done.code == 0, done.err
    assert [row[1] for row in csv.reader(io.StringIO(done.predictions))] == expected
