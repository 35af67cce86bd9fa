"""Jobs: invoke, show, cancel, follow, download."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from batchtwin.workspace import results, states
from batchtwin.workspace.assets import NOTHING
from batchtwin.workspace.deployments import Deployments, job_yaml
from batchtwin.workspace.entities import Deployment, Job, JobStatus
from batchtwin.workspace.errors import ConflictError, InvalidError, NoRouteError, UnknownDeploymentError
from batchtwin.workspace.names import CHILD_SUFFIX, check_name
from batchtwin.workspace.process import Process, answering, launch
from batchtwin.workspace.request import fingerprint, input_of, local_path, overrides_of
from batchtwin.workspace.rows import first, job_of, now
from batchtwin.workspace.snapshot import STAGING, Staged
from batchtwin.workspace.tables import jobs

RUNNER = "batchtwin.workspace.runner"
FOLDER = "jobs"
YAML = "deployment.yml"


class Jobs(Deployments):
    """The verbs for jobs."""

    def invoke(
        self,
        endpoint: str,
        *,
        deployment: str | None = None,
        input: str | None = None,
        input_type: str | None = None,
        job_name: str | None = None,
        experiment: str | None = None,
        overrides: Mapping[str, str] = NOTHING,
        output_file_name: str | None = None,
        output_path: str | None = None,
        instance_count: int | None = None,
        mini_batch_size: int | None = None,
        max_retries: int | None = None,
        timeout: int | None = None,
        error_threshold: int | None = None,
        request_id: str | None = None,
    ) -> Job:
        """Start a job, and return at once. It runs in a process of its own, which outlives the caller.

        The same `job_name` or `request_id` with the same request is the same job [+]. `timeout` in seconds.

        Raises:
            NotFoundError: no such endpoint or data asset.
            UnknownDeploymentError, NoRouteError: nothing to route to.
            InputTypeError: an input that a model deployment does not take.
            InvalidError: something else that cannot be.
            ConflictError: a job of this name is there, with another request.
        """
        name = check_name("job", job_name) if job_name is not None else f"batchjob-{uuid.uuid4()}"
        experiment = check_name("experiment", experiment) if experiment else endpoint
        routed = self._route(endpoint, deployment)
        asked = {
            "mini_batch_size": mini_batch_size,
            "instance_count": instance_count,
            "max_retries": max_retries,
            "timeout": timeout,
            "error_threshold": error_threshold,
            "output_file_name": output_file_name,
        }
        given = overrides_of(routed, asked, overrides)
        target = self._output_path(output_path)
        found = input_of(self, self._store.root, input, input_type)
        order = {"input": str(found.path), "overrides": given, "output_path": target}
        facts = {**order, "endpoint": endpoint, "deployment": routed.name, "experiment": experiment}
        values = {
            "name": name,
            "display_name": name,
            "endpoint": endpoint,
            "deployment": routed.name,
            "experiment": experiment,
            "input": found.name,
            "output": f"{FOLDER}/{name}",
            "request": fingerprint(facts),
            "request_id": request_id,
            "order": order,
        }
        return self._start(routed, values)

    def job(self, name: str) -> Job:
        """Return a job, or the child of one; one whose process is gone has ended, and says so.

        Raises:
            NotFoundError: there is none of this name.
        """
        if name.endswith(CHILD_SUFFIX):
            return self.child(name.removesuffix(CHILD_SUFFIX))
        with self._store.read() as connection:
            row = states.row_of(connection, name)
        return job_of(states.reconcile(self._store, row), self._store.root)

    def jobs(
        self, *, endpoint: str | None = None, deployment: str | None = None, experiment: str | None = None
    ) -> list[Job]:
        """Return the jobs, newest first; of one endpoint, deployment or experiment."""
        query = select(jobs).order_by(jobs.c.id.desc())
        wanted = {"endpoint": endpoint, "deployment": deployment, "experiment": experiment}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(jobs.c[column] == value)
        with self._store.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [job_of(states.reconcile(self._store, row), self._store.root) for row in rows]

    def child(self, name: str) -> Job:
        """Return the child `batchscoring` of a job, whose output is `score` [A].

        Raises:
            NotFoundError: there is no such job.
        """
        parent = self.job(name)
        properties = {**parent.properties, "parent": parent.name}
        return replace(parent, name=name + CHILD_SUFFIX, display_name="batchscoring", properties=properties)

    def cancel(self, name: str) -> Job:
        """Ask a job to end in order: what is done stays done. One that has ended is left as it is.

        Raises:
            NotFoundError: there is none of this name.
        """
        name = name.removesuffix(CHILD_SUFFIX)
        with self._store.write() as connection:
            row = states.row_of(connection, name)
            if not JobStatus(row["status"]).is_final:
                states.change(connection, name, {"status": JobStatus.CANCEL_REQUESTED})
        if row["claimed"] and not JobStatus(row["status"]).is_final:
            Process(row["pid"], row["pid_started"]).terminate(RUNNER, name)
        return self.job(name)

    def log_lines(self, name: str, after: int = 0) -> tuple[list[str], int]:
        """Return what a job has told since line `after`, and the number to ask with next time.

        Raises:
            NotFoundError: there is none of this name.
        """
        lines = results.lines(self.job(name))
        return lines[after:], len(lines)

    def download(self, name: str, target: Path, output_name: str | None = "score", all: bool = False) -> Path:
        """Copy an output to `target/named-outputs/NAME`; without a name the logs to `target/artifacts`; or all of it.

        Returns the folder. Nothing outside `target` is written.

        Raises:
            NotEndedError: the job has not ended [A].
            NotFoundError: there is no such job or output.
            InvalidError: the output has no file, or the file system refuses.
        """
        return results.download(self.job(name), target, output_name, everything=all)

    def mlflow_uri(self) -> str:
        """The tracking URI of the MLflow runs of the jobs."""
        return f"sqlite:///{self._store.root / 'mlflow.db'}"

    def _route(self, endpoint: str, name: str | None) -> Deployment:
        """The deployment that is named; else the default; else the only one [A]."""
        there = {deployment.name: deployment for deployment in self.deployments(endpoint)}
        if name is not None:
            if name not in there:
                raise UnknownDeploymentError(name)
            return there[name]
        default = self.endpoint(endpoint).default_deployment
        if default in there:
            return there[default]
        if len(there) != 1:
            raise NoRouteError
        return next(iter(there.values()))

    def _output_path(self, text: str | None) -> str | None:
        if text is None:
            return None
        path = local_path(self._store.root, text)
        if path is None:
            raise InvalidError(f"{text}: remote output is not written here; give a folder")
        return str(path.absolute())

    def _start(self, deployment: Deployment, values: dict[str, Any]) -> Job:
        """Write the job down, with its folder; then start its process, unless the job is there already."""
        staging = self._store.root / STAGING / uuid.uuid4().hex
        folder = self._store.root / FOLDER / values["name"]
        staging.mkdir(parents=True)
        try:
            (staging / YAML).write_text(job_yaml(deployment), encoding="utf-8")
            values["output_file_name"] = _output_file_name(staging / YAML, values["order"]["overrides"])
            with answering(staging) as lock:
                with self._store.write() as connection:
                    there = _same(connection, values)
                    if there is None:
                        Staged(staging, YAML, "").settle(folder)
                        connection.execute(insert(jobs).values(**values, **_fresh(Process.this())))
                if there is None:
                    self._launch(values["name"], folder, lock)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return self.job((there or values)["name"])

    def _launch(self, name: str, folder: Path, lock: int) -> None:
        try:
            process = launch(RUNNER, name, folder, self._store.address, lock)
        except BaseException:
            states.end(
                self._store, name, JobStatus.FAILED, "the job's process did not start; invoke the endpoint again"
            )
            raise
        states.hand_over(self._store, name, process)


def _fresh(process: Process) -> dict[str, Any]:
    return {
        "status": JobStatus.NOT_STARTED,
        "pid": process.pid,
        "pid_started": process.started,
        "claimed": False,
        "created": now(),
        "tags": {},
        "properties": {},
    }


def _same(connection: Connection, values: Mapping[str, Any]) -> RowMapping | None:
    """The job that this request has started before."""
    matches = jobs.c.name == values["name"]
    if values["request_id"] is not None:
        matches |= jobs.c.request_id == values["request_id"]
    row = first(connection, select(jobs).where(matches))
    if row is not None and row["request"] != values["request"]:
        raise ConflictError(f"job {row['name']}: exists, with another input or other settings; choose another name")
    return row


def _output_file_name(yaml: Path, overrides: Mapping[str, str]) -> str | None:
    """Check the overrides, and return the name of the output file; None with `summary_only`."""
    from batchtwin.deployment.schema import Deployment as Spec
    from batchtwin.errors import DeploymentError

    try:
        return Spec.load(yaml, overrides).output_file
    except DeploymentError as error:
        raise InvalidError("; ".join(f"{problem.key}: {problem.text}" for problem in error.problems)) from None
