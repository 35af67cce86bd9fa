"""A job, the version of its model and the run that trained it, linked in one MLflow store as MLflow 3 shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow_runs import new_store
from workspace.conftest import Rehearsal

from batchtwin.deployment.model import read_model
from batchtwin.workspace.assets import made_by
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.errors import InvalidError
from batchtwin.workspace.run_artifacts import parse_run_path
from batchtwin.workspace.workspace import Workspace
from commands import run_code
from support import DEADLINE, Finished, batchtwin, wait_for

RUN = "a" * 32
# A training in the store of the workspace: a run that logs a model, which is saved beside it too. One copy names the
# run, the other is named by it.
TRAIN = """
import os, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"
import mlflow
from mlflow.models import Model
uri, artifacts, names, named = sys.argv[1:]
mlflow.set_tracking_uri(uri)
mlflow.set_experiment(experiment_id=mlflow.create_experiment("training", "file://" + artifacts))
class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input): return [0] * len(model_input)
with mlflow.start_run() as started:
    info = mlflow.pyfunc.log_model(name="model", python_model=Echo(), pip_requirements=[])
    for folder in (names, named):
        mlflow.pyfunc.save_model(folder, python_model=Echo(), pip_requirements=[])
    model = Model.load(names)
    model.run_id = started.info.run_id
    model.save(names + "/MLmodel")
    mlflow.set_tag("model_uuid", Model.load(named).model_uuid)
print(started.info.run_id, info.model_id)
"""
LINKS = """
import json, os, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1], registry_uri=sys.argv[1])
found = client.get_run(sys.argv[2])
models = [client.get_logged_model(model.model_id) for model in found.inputs.model_inputs]
versions = client.search_model_versions(f"name = '{sys.argv[3]}'")
print(json.dumps({
    "tags": found.data.tags,
    "inputs": {model.model_id: [model.experiment_id == found.info.experiment_id, model.source_run_id, model.tags]
               for model in models},
    "versions": {version.version: [version.run_id, version.tags] for version in versions},
}))
"""


def links(rehearsal: Rehearsal, job: JobRecord, model: str) -> dict[str, Any]:
    """What MLflow says of the run of a job, and of the versions of its model."""
    jobs = rehearsal.workspace.jobs
    wait_for(lambda: jobs.get(job.name).mlflow_run_id is not None)
    run = str(jobs.get(job.name).mlflow_run_id)
    shown: dict[str, Any] = json.loads(run_code(LINKS, [jobs.mlflow_uri(), run, model], Path.cwd(), DEADLINE))
    return shown


@dataclass(frozen=True)
class Trained:
    """A workspace with a training: its run, the logged model, and two folders of the model."""

    workspace: Workspace
    run: str
    logged: str
    names_run: Path
    named_by_run: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """One training for all tests: MLflow takes seconds to make a database."""
    folder = tmp_path_factory.mktemp("trained")
    with Workspace.open(str(folder / "place")) as workspace:
        models = folder / "names", folder / "named"
        uri = new_store(workspace.root / "mlflow.db")
        words = [uri, str(workspace.root / "mlartifacts/training"), *map(str, models)]
        printed = run_code(TRAIN, words, folder, DEADLINE)
        run, logged = printed.split()
        yield Trained(workspace, run, logged, *models)


@pytest.mark.parametrize("name", ["names_run", "named_by_run"])
def test_a_job_leads_to_its_model_and_that_to_its_training(
    trained: Trained, rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By the run that MLmodel names, or by the run that made the same model again. Versions have the same numbers."""
    workspace, run = trained.workspace, trained.run
    workspace.assets.create("model", name, path=rehearsal.project.model, type="custom_model")
    registered = workspace.assets.create("model", name, path=getattr(trained, name), type="mlflow_model")
    assert made_by(registered) == (run if name == "names_run" else None)
    monkeypatch.delenv("BATCHTWIN_MLFLOW")
    rehearsal.workspace = workspace
    rehearsal.deploy(files=1)
    deployment = rehearsal.project.write()
    spec = yaml.safe_load(deployment.read_text())
    deployment.write_text(yaml.safe_dump({**spec, "model": registered.reference}))
    workspace.deployments.create(deployment)
    job = rehearsal.end(rehearsal.invoke())
    assert job.status is JobStatus.COMPLETED
    shown = links(rehearsal, job, name)
    assert shown["tags"].items() >= {"model": f"{name}:2", "training_run": run}.items()
    assert f"[{name}:2](#/models/{name}/versions/2)" in shown["tags"]["mlflow.note.content"]
    assert f"(#/runs/{run})" in shown["tags"]["mlflow.note.content"]
    assert shown["versions"]["2"][0] == run and shown["versions"]["2"][1]["workspace_version"] == "2"
    # The logged model of the training, and one in the job's own experiment, which alone the job's page shows.
    versions = json.loads(shown["inputs"][trained.logged][2]["mlflow.modelVersions"])
    assert {"name": name, "version": 2} in versions
    assert shown["inputs"].pop(trained.logged)[1] == run
    [(in_experiment, source, tags)] = shown["inputs"].values()
    assert (in_experiment, source, tags["model"]) == (True, run, f"{name}:2")
    properties = workspace.jobs.get(job.name).properties
    assert (properties["model"], properties["training_run"]) == (f"azureml:{name}:2", run)
    assert "Trained in" in (job.output / "report.html").read_text() or name == "named_by_run"
    assert f"azureml:{name}:2" in (job.output / "report.html").read_text()


def register(trained: Trained, address: str) -> Finished:
    """`ml model create` of an address."""
    words = ("ml", "model", "create", "--name", "from-run", "--type", "mlflow_model", "--path", address)
    return batchtwin(*words, env={"BATCHTWIN_WORKSPACE": str(trained.workspace.root)})


def test_two_addresses_name_the_same_artifact_of_a_run() -> None:
    addresses = f"runs:/{RUN}/model", f"azureml://jobs/{RUN}/outputs/artifacts/paths/model"
    assert [parse_run_path(address) for address in addresses] == [(RUN, "model")] * 2


def test_a_model_is_registered_from_the_run_that_logged_it(trained: Trained) -> None:
    done = register(trained, f"azureml://jobs/{trained.run}/outputs/artifacts/paths/model")
    assert (done.code, done.err) == (0, "")
    shown = json.loads(done.out)
    assert shown["job_name"] == trained.run and read_model(Path(shown["path"])).run == trained.run


def test_what_no_run_logged_is_told_in_a_line(trained: Trained) -> None:
    done = register(trained, f"runs:/{trained.run}/none")
    assert (done.code, "has no such artifact" in done.err, done.err.count("\n")) == (1, True, 1), done.err


def test_a_run_that_is_not_there_is_named(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fetches artifacts says so, in a line."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.workspace.jobs.mlflow_uri())
    code = "import sys; from batchtwin.workspace import run_artifacts; print(run_artifacts.main(*sys.argv[1:]))"
    text = run_code(code, [RUN, "model", tmp_path], tmp_path, DEADLINE)
    assert (text.startswith(f"no run {RUN}: "), text.count("\n")) == (True, 1), text


@pytest.mark.parametrize(
    "address", ["model", "azureml:echo:1", "azureml://datastores/workspaceblobstore/paths/model", "runs:/x y/model"]
)
def test_other_addresses_name_no_run(address: str) -> None:
    assert parse_run_path(address) is None


@pytest.mark.parametrize("path", ["../../x", "model/../../x", "model/\0"])
def test_a_path_that_leads_out_of_a_run_is_refused(path: str) -> None:
    with pytest.raises(InvalidError, match="leads out of the run"):
        parse_run_path(f"runs:/{RUN}/{path}")


@pytest.mark.parametrize("value", ["../x", "a b", "", "x" * 101, 7, None, ["x"]])
def test_an_id_in_mlmodel_that_can_be_none_is_left_out(tmp_path: Path, value: object) -> None:
    (tmp_path / "MLmodel").write_text(json.dumps({"flavors": {"python_function": {}}, "run_id": value}))
    assert read_model(tmp_path).run == ""
