"""What a deployment asks of its environment, against what is installed here."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from batchtwin.deployment.schema import Deployment
from batchtwin.environments.differences import is_listed, mismatches
from batchtwin.environments.requested import (
    RequestedEnvironment,
    RequestedEnvironmentError,
    read_conda,
    requested_environment,
)

YAML = version("pyyaml")


def requested(*pip: str, conda: tuple[str, ...] = (), python: str | None = None) -> RequestedEnvironment:
    return RequestedEnvironment("file", python, pip, conda)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (f"pyyaml=={YAML}", None),
        (f"PyYAML[extra] >= {YAML}", None),
        ("pyyaml", None),
        ("pyyaml==0.1", f"pyyaml {YAML} is installed, ==0.1 is requested (file)"),
        ("no-such-package>=1", "no-such-package is requested and not installed (file)"),
        ("no-such-package; python_version < '3'", None),
        ("pyyaml @ https://example.org/x.whl", f"from https://example.org/x.whl; installed is {YAML}"),
        ("./local.whl", "'./local.whl' cannot be compared"),
    ],
)
def test_pip(line: str, text: str | None) -> None:
    differences = mismatches(requested(line, line))
    assert (text in differences[0]) if text else differences == []


@pytest.mark.parametrize(
    ("line", "differs"),
    [
        (f"pyyaml={YAML}", False),
        (f"pyyaml={YAML.rsplit('.', 1)[0]}", False),
        (f"conda-forge::pyyaml={YAML}=py311_0", False),
        ("pyyaml=0.1", True),
        ("pyyaml>=99", True),
        ("pyyaml", False),
        ("gxx_linux-64=12", False),
        ("???", False),
        ("pyyaml=>1", True),
    ],
)
def test_conda(line: str, differs: bool) -> None:
    assert bool(mismatches(requested(conda=(line,)))) is differs


@pytest.mark.parametrize(
    ("python", "differs"),
    [(f"python={platform.python_version()}", False), ("python=3", False), ("python=3.1", True), ("python", False)],
)
def test_python(python: str, differs: bool) -> None:
    assert bool(mismatches(requested(python=python))) is differs


@pytest.mark.parametrize(
    ("module", "package", "brings"),
    [
        ("mlflow.pyfunc", "mlflow-skinny==2.22.0", True),
        ("xgboost", "xgboost-cpu", True),
        ("tensorflow", "tensorflow-cpu", True),
        ("psycopg2", "psycopg2_binary", True),
        ("cv2", "opencv-contrib-python", True),
        ("sklearn", "scikit-learn", True),
        ("sklearn", "skl2onnx", False),
        ("mlflow", "mlflow-export-import", False),
    ],
)
def test_what_brings_a_module(module: str, package: str, brings: bool) -> None:
    assert is_listed(module, requested(package)) == brings
    assert is_listed(module, requested(conda=(package.replace("==", "="),))) == brings


def test_conda_file_is_taken_apart(tmp_path: Path) -> None:
    path = tmp_path / "conda.yaml"
    path.write_text(
        "dependencies: [python=3.11, pip=24, python-dateutil=2, numpy=2, "
        "{pip: ['a==1 # why', '--extra-option x', '', '# c']}]"
    )
    assert read_conda(path) == RequestedEnvironment(
        str(path), "python=3.11", ("a==1",), ("python-dateutil=2", "numpy=2"), ("--extra-option x",)
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "no such conda file"), ("a: [", "cannot be read"), ("name: x", "dependencies: missing"), ("[]", "missing")],
)
def test_bad_conda_file(tmp_path: Path, content: str | None, text: str) -> None:
    path = tmp_path / "conda.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestedEnvironmentError, match=text):
        read_conda(path)


def deployment(folder: Path, environment: object) -> Deployment:
    path = folder / "deployment.yml"
    facts = {"name": "abc", "endpoint_name": "abc", "model": "azureml:m:1", "compute": "azureml:c"}
    path.write_text(yaml.safe_dump(facts | ({"environment": environment} if environment else {})))
    return Deployment.load(path)


def test_where_it_is_asked(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pyyaml==1\n")
    (tmp_path / "conda.yaml").write_text("dependencies: [pandas=2]")
    by_file = deployment(tmp_path, {"image": "x", "conda_file": "conda.yaml"})
    by_dict = deployment(tmp_path, {"image": "x", "conda_file": {"dependencies": ["numpy=1"]}})
    nothing = deployment(tmp_path, None)

    def asked_by(which: Deployment, model: Path = tmp_path) -> RequestedEnvironment | None:
        return requested_environment(which, tmp_path, model)

    assert asked_by(by_file) == RequestedEnvironment(str(tmp_path / "conda.yaml"), None, (), ("pandas=2",))
    assert asked_by(by_dict) == RequestedEnvironment("environment.conda_file", None, (), ("numpy=1",))
    assert asked_by(nothing) == RequestedEnvironment(str(tmp_path / "conda.yaml"), None, (), ("pandas=2",))
    (tmp_path / "conda.yaml").unlink()
    assert asked_by(nothing) == RequestedEnvironment(str(tmp_path / "requirements.txt"), None, ("pyyaml==1",), ())
    assert asked_by(deployment(tmp_path, "azureml:env:1")) is None
    assert asked_by(nothing, tmp_path / "none") is None
