"""An ended job as an MLflow run, so that `mlflow ui` shows what the studio shows. Only the job's process comes here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtwin.engine.output.folder import OutputFolder
from batchtwin.locks import hold
from batchtwin.workspace.database.rows import job_of
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.jobs import states

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

STATUSES = {JobStatus.COMPLETED: "FINISHED", JobStatus.FAILED: "FAILED", JobStatus.CANCELED: "KILLED"}
HEAD_LINES = 20
# What MLflow takes as the value of a parameter or tag.
LONGEST = 5000


@dataclass(frozen=True)
class Measured:
    """When a job began and ended (seconds since the epoch), its summary line, and its figures by name."""

    began: float
    ended: float
    summary: str
    figures: Mapping[str, float]


def add_run(store: Store, name: str, measured: Measured) -> None:
    """Add the run of an ended job, and write its id down.

    One process at a time: the first makes the database, which takes MLflow several steps.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """
    with store.read() as connection:
        row = states.row_of(connection, name)
    job = job_of(row, store.root)
    with hold(store.root / ".mlflow.lock"):
        from mlflow.tracking import MlflowClient

        uri = f"sqlite:///{store.root / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        run_id = _create(client, store.root, job, measured)
    _fill(client, run_id, job, row["request"]["parameters"], measured)
    client.set_terminated(run_id, STATUSES[job.status], int(measured.ended * 1000))
    with store.write() as connection:
        states.change(connection, name, {"mlflow_run_id": run_id})


def _create(client: MlflowClient, root: Path, job: JobRecord, measured: Measured) -> str:
    known = client.get_experiment_by_name(job.experiment)
    artifacts = (root / "mlartifacts" / job.experiment).as_uri()
    experiment = known.experiment_id if known else client.create_experiment(job.experiment, artifacts)
    tags = {"endpoint": job.endpoint, "deployment": job.deployment, "status": job.status.value}
    if job.error:
        tags["error"] = job.error[:LONGEST]
    run = client.create_run(experiment, int(measured.began * 1000), tags, run_name=job.name)
    run_id: str = run.info.run_id
    return run_id


def _fill(client: MlflowClient, run_id: str, job: JobRecord, settings: Mapping[str, Any], measured: Measured) -> None:
    parameters = {"endpoint": job.endpoint, "deployment": job.deployment, "input": job.input, **settings}
    for key, value in parameters.items():
        client.log_param(run_id, key, str(value)[:LONGEST])
    for key, value in measured.figures.items():
        client.log_metric(run_id, key, value)
    if measured.summary:
        client.log_text(run_id, measured.summary + "\n", "summary.txt")
    if job.error:
        client.log_text(run_id, job.error + "\n", "error.txt")
    predictions = OutputFolder(job.output, job.output_file_name).predictions
    if predictions and predictions.is_file():
        with predictions.open(encoding="utf-8", errors="replace") as stream:
            client.log_text(run_id, "".join(islice(stream, HEAD_LINES)), f"head-{predictions.name}")
