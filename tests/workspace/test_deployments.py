"""Deployments: what their YAML names is resolved, what it brings along is registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from batchtwin.errors import DeploymentError
from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.jobs.job_yaml import job_data
from support import ROOT

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal


def changed(yaml_file: Path, **values: Any) -> Path:
    """The same deployment with other values; None takes a key away."""
    data = {**yaml.safe_load(yaml_file.read_text()), **values}
    yaml_file.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}))
    return yaml_file


def test_an_inline_model_without_a_name_is_in_no_list(rehearsal: Rehearsal) -> None:
    deployment = rehearsal.deploy()
    assert deployment.model.path is not None
    assert (deployment.model.path / "weights.txt").read_text() == "42"
    assert rehearsal.workspace.assets.list("model") == []


def test_an_inline_model_with_a_name_is_registered(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    model = {"path": str(rehearsal.project.model), "name": "heart"}
    deployment = rehearsal.workspace.deployments.create(changed(rehearsal.project.write(), model=model))
    assert rehearsal.workspace.assets.list("model") == [deployment.model]
    assert deployment.spec.model == "azureml:heart:1"


def test_latest_is_what_it_was_when_the_deployment_was_created(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    workspace, project = rehearsal.workspace, rehearsal.project
    assert project.model is not None
    workspace.assets.create("model", "heart", path=project.model)
    workspace.deployments.create(changed(project.write(), model="azureml:heart@latest"))
    (project.model / "weights.txt").write_text("43")
    workspace.assets.create("model", "heart", path=project.model)
    assert workspace.deployments.get("test-endpoint", "test-deployment").model.version == "1"


def test_the_code_is_a_copy(rehearsal: Rehearsal) -> None:
    deployment = rehearsal.deploy(script="def run(files): return files")
    rehearsal.project.script = "broken("
    rehearsal.project.write()
    assert deployment.code is not None
    assert deployment.code.path is not None
    assert (deployment.code.path / "driver.py").read_text() == "def run(files): return files"


def test_creating_again_replaces_it(rehearsal: Rehearsal) -> None:
    first = rehearsal.deploy()
    again = rehearsal.deploy(script="def run(files): return [1]", files=0)
    assert rehearsal.workspace.deployments.list("test-endpoint") == [again]
    assert again.code != first.code
    assert again.created == first.created


def test_name_and_endpoint_of_the_command_go_first(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.endpoints.create("other-endpoint")
    yaml_file = rehearsal.project.write()
    deployment = rehearsal.workspace.deployments.create(yaml_file, endpoint="other-endpoint", name="null")
    assert (deployment.endpoint, deployment.name, deployment.spec.name) == ("other-endpoint", "null", "null")


def test_an_inline_environment_is_registered(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    environment = {"name": "scoring", "image": "python:3.11", "conda_file": {"dependencies": ["python=3.11"]}}
    deployment = rehearsal.workspace.deployments.create(changed(rehearsal.project.write(), environment=environment))
    assert deployment.environment is not None
    assert deployment.environment.path is not None
    assert json.loads(deployment.environment.path.read_text()) == environment["conda_file"]
    assert deployment.environment.properties == {"image": "python:3.11"}
    assert deployment.spec.environment == "azureml:scoring:1"


def test_another_image_is_another_environment(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    environment = {"name": "test", "image": "python:3.12"}
    deployment = rehearsal.workspace.deployments.create(changed(rehearsal.project.write(), environment=environment))
    assert deployment.environment is not None
    assert deployment.environment.version == "2"


def test_azures_own_environments_are_taken_at_their_word(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    reference = "azureml:AzureML-sklearn-1.5@latest"
    deployment = rehearsal.workspace.deployments.create(changed(rehearsal.project.write(), environment=reference))
    assert deployment.environment is None
    assert deployment.spec.environment == reference


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"model": "azureml:none@latest"}, "model 'none': not found"),
        ({"model": "azureml:none:3"}, "model 'none:3': not found"),
        ({"compute": "azureml:none"}, "compute 'none': not found"),
        ({"endpoint_name": "none"}, "endpoint 'none': not found"),
        ({"environment": "azureml:none:1"}, "environment 'none:1': not found"),
    ],
)
def test_what_it_names_must_be_there(rehearsal: Rehearsal, values: dict[str, Any], text: str) -> None:
    rehearsal.deploy()
    with pytest.raises(NotFoundError, match=text):
        rehearsal.workspace.deployments.create(changed(rehearsal.project.write(), **values))


def test_without_a_script_the_model_must_be_one_of_mlflow(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    with pytest.raises(InvalidError, match="is a custom_model; without a scoring script"):
        rehearsal.workspace.deployments.create(changed(rehearsal.project.write(), code_configuration=None))


def test_the_script_must_be_there(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    code = {"code": "code", "scoring_script": "none.py"}
    with pytest.raises(InvalidError, match=r"scoring_script: 'none.py' is not in"):
        rehearsal.workspace.deployments.create(changed(rehearsal.project.write(), code_configuration=code))


def test_a_yaml_that_cannot_be_used(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    with pytest.raises(DeploymentError, match="mini_batch_size"):
        rehearsal.workspace.deployments.create(rehearsal.project.write(), {"settings.mini_batch_size": "0"})


@pytest.mark.parametrize("name", ["deployment-simple/deployment.yml", "deployment-custom/deployment.yml"])
def test_the_deployments_of_this_project(rehearsal: Rehearsal, heart_model: Path, name: str) -> None:
    workspace = rehearsal.workspace
    workspace.assets.create("model", "heart-classifier-mlflow", path=heart_model, type="mlflow_model")
    workspace.computes.create("batch-cluster")
    workspace.endpoints.create("heart-classifier-batch")
    deployment = workspace.deployments.create(ROOT / name)
    assert deployment.model.version == "1"
    data = job_data(deployment)
    assert data["model"]["path"] == str(deployment.model.path)
    assert data["settings"]["mini_batch_size"] == 2
