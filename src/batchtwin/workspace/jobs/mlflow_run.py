"""A job as an MLflow run, so that `mlflow ui` shows what the studio shows, and what the script logged.

Only the job's process and its recorder use this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.tracking import curves
from batchtwin.engine.tracking.curves import Curves
from batchtwin.engine.tracking.deliver import RunWriter, left_out
from batchtwin.engine.tracking.job_run import LONGEST, log_files, log_values
from batchtwin.engine.tracking.lineage import TRAINING_TAG
from batchtwin.engine.tracking.logged import LogReader
from batchtwin.locks import hold
from batchtwin.workspace.database.rows import job_record
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.jobs import registry, states
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

STATUSES = {JobStatus.COMPLETED: "FINISHED", JobStatus.FAILED: "FAILED", JobStatus.CANCELED: "KILLED"}
# The number of a job's run, which names the stores of its workers: the workspace runs a job once.
FIRST_RUN = 1


@value_object
class Measured:
    """When a job began and ended (seconds since the epoch), its summary line, and its figures by name."""

    began: float
    ended: float
    summary: str
    figures: Mapping[str, float]


class JobRun:
    """The MLflow run of a job, created by the constructor; its id is recorded at once if the job still runs.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """

    def __init__(self, store: Store, name: str, began: float) -> None:
        self._store = store
        self._name = name
        _, job = self._job()
        # One process at a time: the first makes the database, which takes MLflow several steps.
        with hold(store.root / ".mlflow.lock"):
            from mlflow.tracking import MlflowClient

            uri = f"sqlite:///{store.root / 'mlflow.db'}"
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            if job.mlflow_run_id:  # left by a killed recorder: everything is read again
                self._client.delete_run(job.mlflow_run_id)
            self._run = _create(self._client, store.root, job, began)
            self._training = registry.link(self._client, store, self._run, job)
        self._logged = LogReader(OutputFolder(job.output).logs, FIRST_RUN)
        self._writer = RunWriter(self._client, self._run, self._logged)
        self._curves = Curves(job.output, began)
        if not job.status.is_final:
            self._write_down()

    def update(self) -> None:
        """Add what the script has logged since the last call, and how far the job has come."""
        self._writer.update()
        log_values(self._client, self._run, self._curves.take())

    def end(self, measured: Measured) -> None:
        """Add how the job ended, and the rest of what the script logged, which overrides what batchtwin knows."""
        self._writer.update()
        self._writer.artifacts()
        row, job = self._job()
        log_values(self._client, self._run, [*self._curves.take(is_end=True), *curves.at_the_end(job.output)])
        for key, value in _tags(job).items():
            self._client.set_tag(self._run, key, value)
        settings = {"endpoint": job.endpoint, "deployment": job.deployment, "input": job.input}
        settings |= row["request"]["parameters"]
        _fill(self._client, self._run, job, _without(settings, measured, self._logged))
        self._client.set_terminated(self._run, STATUSES.get(job.status, "FAILED"), int(measured.ended * 1000))
        if self._writer.too_large:
            self._client.set_tag(self._run, "batchtwin.left_out", left_out(self._writer)[:LONGEST])
        else:
            self._logged.remove()
        self._write_down()

    def _job(self) -> tuple[RowMapping, JobRecord]:
        with self._store.read() as connection:
            row = states.row_of(connection, self._name)
        return row, job_record(row, self._store.root)

    def _write_down(self) -> None:
        with self._store.write() as connection:
            properties = {**states.row_of(connection, self._name)["properties"]}
            if self._training:
                properties[TRAINING_TAG] = self._training
            states.change(connection, self._name, {"mlflow_run_id": self._run, "properties": properties})


def _create(client: MlflowClient, root: Path, job: JobRecord, began: float) -> str:
    existing = client.get_experiment_by_name(job.experiment)
    artifacts = (root / "mlartifacts" / job.experiment).as_uri()
    experiment = existing.experiment_id if existing else client.create_experiment(job.experiment, artifacts)
    run = client.create_run(experiment, int(began * 1000), _tags(job), run_name=job.name)
    run_id: str = run.info.run_id
    return run_id


def _tags(job: JobRecord) -> dict[str, str]:
    tags = {"endpoint": job.endpoint, "deployment": job.deployment, "status": job.status.value}
    return {**tags, "error": job.error[:LONGEST]} if job.error else tags


@value_object
class JobFacts:
    """What batchtwin knows of a job: settings, figures and the summary line."""

    settings: Mapping[str, Any]
    figures: Mapping[str, float]
    summary: str


def _without(settings: Mapping[str, Any], measured: Measured, logged: LogReader) -> JobFacts:
    """Leave out keys that the script logged too."""
    return JobFacts(
        {key: value for key, value in settings.items() if key not in logged.params},
        {key: value for key, value in measured.figures.items() if key not in logged.metrics},
        measured.summary,
    )


def _fill(client: MlflowClient, run_id: str, job: JobRecord, facts: JobFacts) -> None:
    for key, value in facts.settings.items():
        client.log_param(run_id, key, str(value)[:LONGEST])
    for key, value in facts.figures.items():
        client.log_metric(run_id, key, value)
    if facts.summary:
        client.log_text(run_id, facts.summary + "\n", "summary.txt")
    if job.error:
        client.log_text(run_id, job.error + "\n", "error.txt")
    log_files(client, run_id, OutputFolder(job.output, job.output_file_name))
