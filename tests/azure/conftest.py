"""The real azure-ai-ml 1.35.2 and batchtwin, asked to read the same deployment YAMLs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtwin.deployment.model import find_model
from batchtwin.deployment.schema import Deployment, InlineModel
from batchtwin.errors import BatchTwinError, DeploymentError

Change = tuple[str, str | None]
Sdk = Callable[[str, Path], Any]
Ours = Callable[[Path], Deployment]
Write = Callable[[str, Sequence[Change]], Path]
Refused = Callable[[str, str, str | None], Path]

# What azure-ai-ml itself does on import and on every load; our own warnings stay errors.
SDK_NOISE = (
    "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning",
    "ignore::marshmallow.warnings.ChangedInMarshmallow4Warning",
    "ignore:This class is intended as a base class:UserWarning",
    "ignore:The use of a 'BlobProperties' instance:DeprecationWarning",
    "ignore:content_as_bytes is deprecated:DeprecationWarning",
)
SETTINGS = {
    "mini_batch_size": 2,
    "max_concurrency_per_instance": 2,
    "retry_settings": {"max_retries": 3, "timeout": 300},
    "output_action": "append_row",
    "output_file_name": "predictions.csv",
    "error_threshold": -1,
    "logging_level": "info",
    "environment_variables": {"COLOUR": "red"},
}
ROOT = {
    "$schema": "https://azuremlschemas.azureedge.net/latest/modelBatchDeployment.schema.json",
    "name": "my-deployment",
    "endpoint_name": "my-endpoint",
    "description": "A deployment",
    "tags": {"team": "red"},
    "model": {"path": "model", "type": "mlflow_model"},
    "compute": "azureml:cluster",
    "code_configuration": {"code": "code", "scoring_script": "driver.py"},
    "environment": {"name": "own", "image": "python:3.11", "conda_file": "conda.yaml"},
    "resources": {"instance_count": 2},
}
BASES: dict[str, dict[str, Any]] = {"model": {**ROOT, "type": "model", "settings": SETTINGS}, "legacy": ROOT | SETTINGS}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the SDK's warnings pass in this folder."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for noise in SDK_NOISE:
                item.add_marker(pytest.mark.filterwarnings(noise))


@pytest.fixture
def sdk() -> Sdk:
    """Load a deployment YAML of a layout, "model" or "legacy", as `az ml batch-deployment create` does.

    Imported here, for it takes seconds and warns hundreds of times.
    """
    from azure.ai.ml import load_batch_deployment
    from azure.ai.ml.entities._load_functions import load_model_batch_deployment

    loaders = {"model": load_model_batch_deployment, "legacy": load_batch_deployment}
    return lambda layout, path: loaders[layout](path)


@pytest.fixture
def ours() -> Ours:
    """Load it ourselves, up to the model on disk."""

    def load(path: Path) -> Deployment:
        deployment = Deployment.load(path)
        if isinstance(deployment.model, InlineModel):
            find_model(deployment, path.parent)
        return deployment

    return load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the base YAMLs point to."""
    for name in ("model", "code", "context"):
        (tmp_path / name).mkdir()
    (tmp_path / "model/MLmodel").write_text("flavors: {python_function: {}}\n")
    (tmp_path / "code/driver.py").write_text("def run(mini_batch): return mini_batch\n")
    (tmp_path / "context/Dockerfile").write_text("FROM python:3.11\n")
    (tmp_path / "conda.yaml").write_text("name: own\ndependencies: [python=3.11]\n")
    (tmp_path / "torn.yaml").write_text("dependencies: [python\n")
    (tmp_path / "latin1.yaml").write_bytes(b"name: \xe4\n")
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    """Write the good YAML of a layout with some (dotted) keys set to YAML text, or removed (None)."""

    def write_changed(layout: str, changes: Sequence[Change]) -> Path:
        data = copy.deepcopy(BASES[layout])
        for dotted, text in changes:
            change(data, as_written(layout, dotted), text)
        path = folder / "deployment.yml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    return write_changed


def as_written(layout: str, dotted: str) -> str:
    """Keys of `settings` stand at the root of the legacy layout."""
    return dotted.removeprefix("settings.") if layout == "legacy" else dotted


def change(data: dict[str, Any], dotted: str, text: str | None) -> None:
    *above, key = dotted.split(".")
    for part in above:
        data = data[part]
    if text is None:
        del data[key]
    else:
        data[key] = yaml.safe_load(text)


@pytest.fixture
def refused(write: Write, ours: Ours) -> Refused:
    """Make one change; see that we refuse it and say where: the file, the line, and the key or one that it touches."""

    def expect(layout: str, dotted: str, text: str | None) -> Path:
        path = write(layout, [(dotted, text)])
        with pytest.raises(BatchTwinError) as caught:
            ours(path)
        error, key = caught.value, as_written(layout, dotted)
        assert str(path.parent) in str(error)
        if isinstance(error, DeploymentError) and error.path == path:
            named = [key.startswith(problem.key) or problem.key.startswith(key) for problem in error.problems]
            assert any(named) or key.split(".")[-1] in str(error), error
            assert all(problem.line for problem in error.problems if "is required" not in problem.text), error
        return path

    return expect
