"""Jobs: invoke, show, cancel, follow, download."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, insert, select

from batchtwin.deployment.reference import ANONYMOUS
from batchtwin.locks import hold
from batchtwin.workspace.database.rows import first, job_record, utc_now
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.database.tables import jobs
from batchtwin.workspace.deployments import Deployments
from batchtwin.workspace.endpoints import Endpoints
from batchtwin.workspace.entities import DeploymentRecord, JobRecord, JobStatus
from batchtwin.workspace.errors import ConflictError, NoRouteError, UnknownDeploymentError
from batchtwin.workspace.jobs import job_yaml, results, states
from batchtwin.workspace.jobs.invocation import OVERRIDABLE, Invocation, fingerprint
from batchtwin.workspace.jobs.liveness import LOCK, Launch, Process, launch
from batchtwin.workspace.jobs.places import Places, ResolvedInput, ResolvedOutput
from batchtwin.workspace.names import CHILD_SUFFIX, check_name
from batchtwin.workspace.snapshot import JOBS, STAGING, Staged

if TYPE_CHECKING:
    from batchtwin.deployment.schema import Deployment


class Jobs:
    """Jobs of the endpoints. Each runs in a process of its own, which `launch` starts."""

    launch: Launch

    def __init__(self, store: Store, endpoints: Endpoints, deployments: Deployments, places: Places) -> None:
        self.launch = launch
        self._store = store
        self._places = places
        self._endpoints = endpoints
        self._deployments = deployments

    def invoke(self, invocation: Invocation) -> JobRecord:
        """Start a job, and return at once. Its process outlives the caller.

        Raises:
            NotFoundError: no such endpoint or data asset.
            UnknownDeploymentError, NoRouteError: no deployment to route to.
            InputTypeError: an input type that a model deployment refuses.
            InvalidError: another invalid value.
            ConflictError: a job of this name exists, with another request.
        """
        endpoint, job_name = invocation.endpoint, invocation.job_name
        name = check_name("job", job_name) if job_name is not None else f"batchjob-{uuid.uuid4()}"
        experiment = check_name("experiment", invocation.experiment) if invocation.experiment else endpoint
        record = self._route(endpoint, invocation.deployment)
        output = self._output(invocation, record)
        overrides = {**_file_name(output), **invocation.overrides_for(record)}
        job_input = self._places.input(invocation.input, invocation.input_type)
        deployment = job_yaml.job_deployment(record, overrides)
        request = {"input": str(job_input.path), "output_path": str(output.folder) if output.folder else None}
        identity = {"overrides": overrides, "endpoint": endpoint, "deployment": record.name, "experiment": experiment}
        values = {
            "name": name,
            "display_name": name,
            "endpoint": endpoint,
            "deployment": record.name,
            "experiment": experiment,
            "input": job_input.name,
            "output": f"{JOBS}/{name}",
            "output_file_name": deployment.output_file,
            "fingerprint": fingerprint({**request, **identity}),
            "request_id": invocation.request_id,
            "properties": _properties(record, job_input),
            "request": {**request, "input_type": job_input.type, "parameters": _parameters(deployment)},
        }
        return self._start(deployment, values)

    def get(self, name: str) -> JobRecord:
        """Return a job, or the child of one. A job whose process has died has ended.

        Raises:
            NotFoundError: there is none of this name.
        """
        if name.endswith(CHILD_SUFFIX):
            return self.child(name.removesuffix(CHILD_SUFFIX))
        with self._store.read() as connection:
            row = states.row_of(connection, name)
        return job_record(states.reconcile(self._store, row), self._store.root)

    def list(
        self, *, endpoint: str | None = None, deployment: str | None = None, experiment: str | None = None
    ) -> Sequence[JobRecord]:
        """Return the jobs, newest first; of one endpoint, deployment or experiment."""
        query = select(jobs).order_by(jobs.c.id.desc())
        filters = {"endpoint": endpoint, "deployment": deployment, "experiment": experiment}
        for column, value in filters.items():
            if value is not None:
                query = query.where(jobs.c[column] == value)
        with self._store.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [job_record(states.reconcile(self._store, row), self._store.root) for row in rows]

    def child(self, name: str) -> JobRecord:
        """Return the child `batchscoring` of a job, whose output is `score` [A].

        Raises:
            NotFoundError: there is no such job.
        """
        parent = self.get(name)
        properties = {**parent.properties, "parent": parent.name}
        return replace(parent, name=name + CHILD_SUFFIX, display_name="batchscoring", properties=properties)

    def cancel(self, name: str) -> JobRecord:
        """Request that a job ends in order: what is done stays done. A job that has ended stays unchanged.

        Raises:
            NotFoundError: there is none of this name.
        """
        name = name.removesuffix(CHILD_SUFFIX)
        with self._store.write() as connection:
            row = states.row_of(connection, name)
            if not JobStatus(row["status"]).is_final:
                states.change(connection, name, {"status": JobStatus.CANCEL_REQUESTED})
        if row["claimed"] and not JobStatus(row["status"]).is_final:
            Process(row["pid"], row["pid_started"]).terminate(self._store.root / row["output"])
        return self.get(name)

    def log_lines(self, name: str, after: int = 0) -> tuple[Sequence[str], int]:
        """Return the lines of a job's log after line `after`, and the `after` of the next call.

        Raises:
            NotFoundError: there is none of this name.
        """
        lines = results.lines(self.get(name))
        return lines[after:], len(lines)

    def download(self, name: str, target: Path, output_name: str | None = "score", all: bool = False) -> Path:
        """Copy an output to `target/named-outputs/NAME`; without a name the logs to `target/artifacts`; or all of it.

        Returns the folder. Nothing outside `target` is written.

        Raises:
            NotEndedError: the job has not ended [A].
            NotFoundError: there is no such job or output.
            InvalidError: the output has no file, or the file system refuses.
        """
        return results.download(self.get(name), target, output_name, everything=all)

    def mlflow_uri(self) -> str:
        """The tracking URI of the MLflow runs of the jobs."""
        return f"sqlite:///{self._store.root / 'mlflow.db'}"

    def _route(self, endpoint: str, name: str | None) -> DeploymentRecord:
        """Return the named deployment, else the default, else the only one [A]."""
        deployments = {deployment.name: deployment for deployment in self._deployments.list(endpoint)}
        if name is not None:
            if name not in deployments:
                raise UnknownDeploymentError(name)
            return deployments[name]
        default = self._endpoints.get(endpoint).default_deployment
        if default in deployments:
            return deployments[default]
        if len(deployments) != 1:
            raise NoRouteError
        return next(iter(deployments.values()))

    def _output(self, invocation: Invocation, record: DeploymentRecord) -> ResolvedOutput:
        names_file = record.spec.output_file is not None
        return self._places.output(invocation.output_path, invocation.output_type, names_file=names_file)

    def _start(self, deployment: Deployment, values: Mapping[str, Any]) -> JobRecord:
        """Insert the job and create its folder; then start its process, unless the job exists already."""
        staging = self._store.root / STAGING / uuid.uuid4().hex
        folder = self._store.root / JOBS / values["name"]
        staging.mkdir(parents=True)
        try:
            job_yaml.write_yaml(deployment, staging)
            with hold(staging / LOCK) as lock:
                with self._store.write() as connection:
                    existing = _same(connection, values)
                    if existing is None:
                        Staged(staging, job_yaml.NAME, "").commit(folder)
                        connection.execute(insert(jobs).values({**_fresh(Process.this()), **values}))
                if existing is None:
                    self._launch(values["name"], folder, lock)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return self.get((existing or values)["name"])

    def _launch(self, name: str, folder: Path, lock: int) -> None:
        try:
            process = self.launch(name, folder, self._store.address, lock)
        except BaseException:
            states.end(
                self._store, name, JobStatus.FAILED, "the job's process did not start; invoke the endpoint again"
            )
            raise
        states.hand_over(self._store, name, process)


def _file_name(output: ResolvedOutput) -> dict[str, str]:
    """Return the file name of the target; an override of the invocation has priority."""
    return {OVERRIDABLE["output_file_name"]: json.dumps(output.file_name)} if output.file_name else {}


def _properties(deployment: DeploymentRecord, job_input: ResolvedInput) -> dict[str, str]:
    """Return the properties of a job: the type of its input, and its model, if that is registered by name."""
    properties = {"input_type": job_input.type} if job_input.type else {}
    model = deployment.model
    return properties if model.name.startswith(ANONYMOUS) else {**properties, "model": model.reference}


def _fresh(process: Process) -> dict[str, Any]:
    return {
        "status": JobStatus.NOT_STARTED,
        "pid": process.pid,
        "pid_started": process.started,
        "claimed": False,
        "created": utc_now(),
        "tags": {},
        "properties": {},
    }


def _same(connection: Connection, values: Mapping[str, Any]) -> RowMapping | None:
    """Return the job that this request has started before."""
    matches = jobs.c.name == values["name"]
    if values["request_id"] is not None:
        matches |= jobs.c.request_id == values["request_id"]
    row = first(connection, select(jobs).where(matches))
    if row is not None and row["fingerprint"] != values["fingerprint"]:
        raise ConflictError(f"job {row['name']}: exists, with another input or other settings; choose another name")
    return row


def _parameters(deployment: Deployment) -> dict[str, Any]:
    """Return the settings by name, without environment variables, which may hold secrets."""
    settings = deployment.settings.model_dump(mode="json", exclude={"instance_count", "environment_variables"})
    return {"instance_count": deployment.instance_count, **settings}
