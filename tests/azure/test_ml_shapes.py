"""What is printed has the keys and values that the real azure-ai-ml dumps of the same YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from local_az import Az

from batchtwin.azure.cli.views import WORKSPACE
from support import Project

FILES = {
    "model": "name: m\nversion: 3\npath: input\ntype: custom_model\ndescription: A model\ntags: {a: b}\n",
    "data": "name: d\nversion: 3\npath: input\ntype: uri_folder\ndescription: Some data\ntags: {a: b}\n",
    "compute": "name: cluster\ntype: amlcompute\nsize: Standard_DS3_v2\nmin_instances: 0\nmax_instances: 3\n",
    "batch-endpoint": "name: test-endpoint\ndescription: An endpoint\ntags: {a: b}\nproperties: {c: d}\n",
}


@pytest.fixture
def az(tmp_path: Path) -> Az:
    """An empty workspace, and a folder to register."""
    (tmp_path / "input").mkdir()
    (tmp_path / "input/a.txt").write_text("a")
    return Az(tmp_path)


def dumped(group: str, path: Path) -> dict[str, Any]:
    """What the SDK makes of a file, as `az` prints it."""
    from azure.ai.ml import load_batch_endpoint, load_compute, load_data, load_model

    loaders = {"model": load_model, "data": load_data, "compute": load_compute, "batch-endpoint": load_batch_endpoint}
    loaded: dict[str, Any] = loaders[group](path)._to_dict()
    return dict(loaded)


@pytest.mark.parametrize("group", FILES)
def test_an_entity_is_printed_as_the_sdk_dumps_it(group: str, az: Az) -> None:
    file = az.folder / "entity.yml"
    file.write_text(FILES[group])
    made, expected = az.json(group, "create", "-f", file), dumped(group, file)
    expected.pop("path", None)  # there it is in a datastore, here in the workspace
    assert expected.items() <= made.items()


def test_a_deployment_is_printed_as_the_sdk_dumps_it(az: Az) -> None:
    from azure.ai.ml.entities._load_functions import load_model_batch_deployment

    project = Project(az.folder / "project", "def run(mini_batch): return mini_batch", {"error_threshold": 3})
    az.ok("compute", "create", "-n", "cluster", "--type", "amlcompute")
    az.ok("batch-endpoint", "create", "-n", "test-endpoint")
    made = az.json("batch-deployment", "create", "-f", project.write())
    expected = dict(load_model_batch_deployment(project.write())._to_dict())
    registered = {"model", "environment", "code_configuration", "compute"}
    assert expected.keys() - made.keys() == set()
    assert made["compute"] == f"azureml:{WORKSPACE}/computes/cluster"
    settings, defaults = expected.pop("settings"), {"output_file_name": "predictions.csv"}
    assert (settings | defaults | made["settings"]) == made["settings"]
    common = expected.keys() - registered - {"resources"}
    assert {key: made[key] for key in common} == {key: expected[key] for key in common}


def test_what_is_printed_of_an_endpoint_makes_it_again(az: Az) -> None:
    file = az.folder / "endpoint.yml"
    az.ok("batch-endpoint", "create", "-n", "test-endpoint", "--set", "tags.a=b")
    printed = az.ok("batch-endpoint", "show", "-n", "test-endpoint", "--query", "{name:name,tags:tags}", "-o", "yaml")
    file.write_text(printed)
    assert az.json("batch-endpoint", "create", "-f", file, "--query", "tags") == {"a": "b"}


def test_a_datastore_is_printed_as_the_sdk_dumps_it(az: Az) -> None:
    from azure.ai.ml.entities import AzureBlobDatastore

    shown = az.json("datastore", "show", "-n", "workspaceblobstore")
    expected = AzureBlobDatastore(name=shown["name"], account_name="a", container_name="c")._to_dict()
    assert expected.keys() <= shown.keys()
    assert (shown["type"], shown["id"]) == ("azure_blob", f"{WORKSPACE}/datastores/workspaceblobstore")
    assert [each["name"] for each in az.json("datastore", "list")] == ["workspaceblobstore", "workspaceartifactstore"]
    assert len(az.json("datastore", "list", "-r", "1")) == 1


def test_a_folder_among_the_datastores_is_one_if_its_name_can_be(az: Az) -> None:
    """The SDK uploads code to containers `code-HASH`."""
    for name in ("own_data", "code-1f", ".staging"):
        (az.folder / "workspace/datastores" / name).mkdir(parents=True)
    assert az.json("datastore", "list", "--query", "[2:].name") == ["own_data"]
    assert az("datastore", "show", "-n", "code-1f").code == 3
