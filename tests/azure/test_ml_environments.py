"""`az ml environment`, deployments that name what it registered, and what is told of their environments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from local_az import DEPLOYMENT, ECHO, ENDPOINT, Az

from batchtwin.azure.cli.views import WORKSPACE
from batchtwin.workspace.workspace import Workspace
from support import Project, batchtwin

OLD = {"dependencies": [{"pip": ["pyyaml==0.1"]}]}
DIFFERS = "==0.1 is requested ("


@pytest.fixture
def az(tmp_path: Path) -> Az:
    """A workspace with a compute, an endpoint, and the environment `old`, which asks for another pyyaml."""
    az = Az(tmp_path)
    (tmp_path / "conda.yaml").write_text(yaml.safe_dump(OLD))
    with Workspace.open(str(tmp_path / "workspace")) as workspace:
        workspace.environments.create("old", image="python:3.11", conda=yaml.safe_dump(OLD))
        workspace.computes.create("cluster", type="amlcompute")
        workspace.endpoints.create(ENDPOINT)
    return az


def names(az: Az, reference: str, folder: str = "project") -> Path:
    """A deployment that names an environment."""
    project = Project(az.folder / folder, ECHO)
    project.files(1)
    path = project.write()
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"environment": reference}))
    return path


def test_an_environment_has_the_keys_that_az_prints(az: Az) -> None:
    made = az.json("environment", "create", "-n", "e", "-i", "python:3.12", "-c", "conda.yaml", "--tags", "a=b")
    assert made["creation_context"].pop("created_at").endswith("+00:00")
    made.pop("creation_context")
    assert made == {
        "conda_file": OLD,
        "description": "",
        "id": f"azureml:{WORKSPACE}/environments/e/versions/1",
        "image": "python:3.12",
        "name": "e",
        "os_type": "linux",
        "resourceGroup": "local",
        "tags": {"a": "b"},
        "version": "1",
    }
    shown = az.json("environment", "show", "-n", "e", "-l", "latest")
    assert {key: shown[key] for key in made} == made


@pytest.mark.parametrize("conda", ["../conda.yaml", OLD])
def test_an_environment_comes_from_a_file(az: Az, conda: object) -> None:
    (az.folder / "sub").mkdir()
    facts = {"name": "e", "version": 7, "image": "python:3.11", "conda_file": conda}
    (az.folder / "sub/env.yml").write_text(yaml.safe_dump(facts))
    made = az.json("environment", "create", "-f", "sub/env.yml", "--set", "description=hello")
    assert (made["version"], made["conda_file"], made["description"]) == ("7", OLD, "hello")


def test_a_build_context(az: Az) -> None:
    (az.folder / "context").mkdir()
    (az.folder / "context/Dockerfile").write_text("FROM python:3.11\n")
    made = az.json("environment", "create", "-n", "e", "-b", "context", "-d", "Dockerfile")
    copy = az.folder / "workspace/environments/e/1/context"
    assert made["build"] == {"path": str(copy), "dockerfile_path": "Dockerfile"}
    assert (copy / "Dockerfile").is_file()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "needs an image (with or without conda_file), or a build context"),
        (("-i", "a", "-b", "."), "--build: does not go with image"),
        (("-i", "a", "-c", "none.yaml"), "none.yaml' is not there"),
        (("-i", "a", "-d", "Dockerfile"), "--dockerfile-path: goes with --build-context"),
    ],
)
def test_what_cannot_be_is_a_usage_error(az: Az, words: tuple[str, ...], text: str) -> None:
    done = az("environment", "create", "-n", "e", *words)
    assert (done.code, text in done.err) == (2, True), done.err


def test_environments_are_listed_archived_and_restored(az: Az) -> None:
    az.ok("environment", "create", "-n", "other", "-i", "python:3.11")
    az.ok("environment", "archive", "-n", "other", "-v", "1")
    shown = ("--query", "[].name", "-o", "tsv")
    assert az.ok("environment", "list", *shown) == "old\n"
    assert az.ok("environment", "list", "--archived-only", *shown) == "other\n"
    az.ok("environment", "restore", "-n", "other", "-v", "1")
    assert set(az.ok("environment", "list", *shown).split()) == {"old", "other"}
    assert az.json("environment", "list", "-n", "old", "--query", "[].version") == ["1"]
    assert az("environment", "show", "-n", "none", "-v", "1").code == 3


@pytest.mark.parametrize("reference", ["azureml:old:1", "azureml:old@latest"])
def test_create_plan_and_score_tell_the_same_of_a_registered_environment(az: Az, reference: str) -> None:
    path = names(az, reference)
    created = az("batch-deployment", "create", "-f", path)
    assert created.code == 0, created.err
    words = (path, "--input", path.parent / "inputs", "--model", path.parent / "model")
    warnings = [line.removeprefix("WARNING: ") for line in created.err.splitlines()]
    assert len(warnings) == 1
    assert warnings[0].startswith("environment: pyyaml ")
    assert warnings[0].endswith(f"{DIFFERS}{az.folder}/workspace/environments/old/1/conda.yaml)")
    for command in ("plan", "score"):
        output = ("--output", az.folder / "job") if command == "score" else ()
        done = az.run(command, *words, *output)
        assert (done.code, done.err) == (0, f"Warning: {warnings[0]}\n"), command
        strict = az.run(command, *words, "--strict-environment")
        assert (strict.code, DIFFERS in strict.err) == (2, True)
    assert f"Warning: {warnings[0]}\n" in (az.folder / "job/logs").glob("job_progress*").__next__().read_text()
    assert az("batch-deployment", "create", "-f", path, "--only-show-errors").err == ""


def test_auto_says_what_the_first_job_makes(az: Az, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTWIN_ENV", "auto")
    monkeypatch.setenv("BATCHTWIN_ENVIRONMENTS", str(az.folder / "environments"))
    created = az("batch-deployment", "create", "-f", names(az, "azureml:old:1"))
    assert "the first job makes one of its own: Python 3." in created.err.splitlines()[-1]
    assert not (az.folder / "environments").exists()


def test_the_log_of_a_job_tells_what_create_told(az: Az) -> None:
    path = names(az, "azureml:old:1")
    created = az("batch-deployment", "create", "-f", path, "--set-default")
    [warning] = [line.removeprefix("WARNING: ") for line in created.err.splitlines()]
    job = az.invoke("--input", path.parent / "inputs")
    streamed = az.ok("job", "stream", "-n", job)
    assert f"Warning: {warning}\n" in streamed


def test_a_name_that_only_azure_knows_cannot_be_checked(az: Az) -> None:
    reference = "azureml:AzureML-unknown:1"
    path = names(az, reference)
    created = az("batch-deployment", "create", "-f", path)
    assert created.code == 0
    assert f"'{reference}' cannot be checked: register it" in created.err
    strict = az.run("plan", path, "--input", path.parent / "inputs", "--strict-environment")
    assert (strict.code, f"'{reference}' cannot be checked" in strict.err) == (2, True)


def test_a_mapping_beside_the_deployment_holds_for_its_jobs(az: Az) -> None:
    """A job runs in a folder of its own; what the mapping said when the deployment was created counts."""
    path = names(az, "azureml:AzureML-unknown:1")
    (path.parent / "environments.yml").write_text(yaml.safe_dump({"azureml:AzureML-unknown": {"conda_file": OLD}}))
    created = az("batch-deployment", "create", "-f", path, "--set-default")
    assert "==0.1 is requested" in created.err
    job = az.invoke("--input", path.parent / "inputs")
    assert "==0.1 is requested" in az.ok("job", "stream", "-n", job)


def test_a_registered_environment_goes_before_a_mapping(az: Az) -> None:
    path = names(az, "azureml:AzureML-own:1")
    (path.parent / "environments.yml").write_text(yaml.safe_dump({"azureml:AzureML-own": {"image": "mapped:1"}}))
    az.ok("environment", "create", "-n", "AzureML-own", "-i", "python:3.11", "-c", "conda.yaml")
    assert "==0.1 is requested" in az("batch-deployment", "create", "-f", path).err


def test_probable_mistakes_of_the_script_are_told_too(az: Az) -> None:
    path = names(az, "azureml:old:1")
    (path.parent / "code/driver.py").write_text(
        "def run(mini_batch):\n    for path in mini_batch:\n        yield path\n"
    )
    created = az("batch-deployment", "create", "-f", path)
    assert "WARNING: driver.py:" in created.err


def test_no_workspace_is_made_to_look_for_an_environment(tmp_path: Path) -> None:
    az = Az(tmp_path)
    path = names(az, "azureml:old:1")
    done = az.run("plan", path, "--input", path.parent / "inputs")
    assert (done.code, "'azureml:old:1' cannot be checked" in done.err) == (0, True)
    assert not (tmp_path / "workspace").exists()


def test_an_image_is_built_of_a_registered_environment(az: Az) -> None:
    path = names(az, "azureml:old:1")
    client = az.folder / "client"
    client.write_text(f"#!/bin/bash\n[[ $1 == build ]] && cp -r \"${{@: -1}}\" '{az.folder / 'context'}'\n")
    client.chmod(0o755)
    assert az.run("image", path, "--engine", client).code == 0
    assert "pyyaml==0.1\n" in (az.folder / "context/requirements.txt").read_text()


def test_deployments_are_shown_with_the_environment_they_have(az: Az) -> None:
    az.ok("batch-deployment", "create", "-f", names(az, "azureml:old:1"))
    shown = az.ok("batch-deployment", "show", "-n", DEPLOYMENT, "-e", ENDPOINT, "--query", "environment", "-o", "tsv")
    assert shown == f"azureml:{WORKSPACE}/environments/old/versions/1\n"


def test_environments_of_the_cache_are_built_of_registered_ones(az: Az, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTWIN_ENVIRONMENTS", str(az.folder / "environments"))
    (az.folder / "empty.yaml").write_text("dependencies: [{pip: ['./none.whl']}]\n")
    az.ok("environment", "create", "-n", "broken", "-i", "python:3.11", "-c", "empty.yaml")
    path = names(az, "azureml:broken:1")
    env = {**os.environ, "BATCHTWIN_WORKSPACE": str(az.folder / "workspace")}
    done = batchtwin("environments", "build", path, env=env)
    assert (done.code, "broken/1/conda.yaml: './none.whl': there is no" in done.err) == (2, True), done.err


def test_a_registered_conda_file_has_no_other_files(az: Az) -> None:
    path = names(az, "azureml:old:1")
    data = yaml.safe_load(path.read_text())
    data["environment"] = {"name": "own", "image": "python:3.11", "conda_file": "conda.yaml"}
    path.write_text(yaml.safe_dump(data))
    (path.parent / "conda.yaml").write_text(yaml.safe_dump({"dependencies": [{"pip": ["-r requirements.txt"]}]}))
    (path.parent / "requirements.txt").write_text("pyyaml")
    err = az("batch-deployment", "create", "-f", path).err
    assert "jobs will be refused: " in err
    assert (
        "'-r requirements.txt' names it; a registered conda file, as in Azure ML, comes without the files that it "
        "names: write packages by name and version"
    ) in err
