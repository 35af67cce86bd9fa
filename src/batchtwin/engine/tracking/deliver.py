"""What scripts logged -> an MLflow run. Elsewhere in the engine only separate processes import MLflow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtwin.engine.job import Status
from batchtwin.engine.tracking.choice import SWITCH, URI
from batchtwin.engine.tracking.logged import MOST_BYTES, Logged, LogReader, TooLargeError
from batchtwin.redaction import hide
from batchtwin_node.script.tracking import FOLDER

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

STATUSES = {Status.COMPLETED: "FINISHED", Status.FAILED: "FAILED", Status.CANCELED: "KILLED"}
# MLflow's limits for one call.
MOST_POINTS, MOST_TEXTS = 1000, 100
# Names of artifacts.
SHOWN = 3

# Called at the end of a run with what was logged; returns a sentence for the user.
OnLogged = Callable[[LogReader, Status, str], str | None]


class RunWriter:
    """Writes to run `run_id`. What MLflow refuses is left out and counted: it never fails a job."""

    def __init__(self, client: MlflowClient, run_id: str, reader: LogReader) -> None:
        self._client = client
        self._run = run_id
        self._reader = reader
        self.refused = 0
        self.too_large: list[str] = []

    def update(self) -> None:
        """Write what was logged since the last call, except artifacts."""
        while (logged := self._reader.take()).params or logged.tags or logged.points:
            self._write(logged)

    def _write(self, logged: Logged) -> None:
        from mlflow.entities import Metric, Param, RunTag

        points = [Metric(point.key, point.value, point.timestamp, point.step) for point in logged.points]
        self._in_batches("metrics", points, MOST_POINTS)
        self._in_batches("params", [Param(key, value) for key, value in logged.params.items()], MOST_TEXTS)
        self._in_batches("tags", [RunTag(key, value) for key, value in logged.tags.items()], MOST_TEXTS)

    def artifacts(self) -> None:
        """Write the datasets, and copies of the artifacts: a script may change a file while it is read."""
        self._datasets()
        artifacts = self._reader.artifacts()
        if not artifacts:
            return
        left = MOST_BYTES
        with tempfile.TemporaryDirectory(prefix="batchtwin-artifacts-") as folder:
            for artifact in artifacts:
                try:
                    target = Path(folder, artifact.path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    left -= self._reader.copy(artifact, target, left)
                except TooLargeError:
                    self.too_large.append(artifact.path)
                except OSError:
                    self.refused += 1
            self._client.log_artifacts(self._run, folder)

    def _datasets(self) -> None:
        for use in self._reader.datasets():
            try:
                from mlflow.entities import Dataset, DatasetInput, InputTag

                dataset = Dataset.from_dictionary(dict(use.facts))
                tags = [InputTag(key, value) for key, value in use.tags]
                self._client.log_inputs(self._run, [DatasetInput(dataset, tags)])
            except Exception:  # MLflow before 2.4 has no datasets
                self.refused += 1

    def _in_batches(self, kind: str, entries: Sequence[Any], most: int) -> None:
        for first in range(0, len(entries), most):
            batch = entries[first : first + most]
            try:
                self._client.log_batch(self._run, **{kind: list(batch)})
            except Exception:
                self._singly(kind, batch)

    def _singly(self, kind: str, entries: Sequence[Any]) -> None:
        for entry in entries:
            try:
                self._client.log_batch(self._run, **{kind: [entry]})
            except Exception:
                self.refused += 1


def at_end(reader: LogReader, status: Status, name: str) -> str | None:
    """Say where a job's log is if the caller names no store for it. Never raises."""
    if reader.is_empty():
        reader.remove()
        return None
    if os.environ.get(URI) and os.environ.get(SWITCH) == "off":
        return f"{_kept(reader)} {SWITCH}=off, so {os.environ[URI]} does not have them"
    return f"{_kept(reader)} set {URI} to a local store, or use a workspace (batchtwin ml), to have them in a run"


def not_delivered(reader: LogReader, uri: str, error: Exception) -> str:
    """Say why a store does not have the run of a job."""
    reason, uri = " ".join(hide(str(error)).split())[:300], hide(uri)
    why = f"{error.name} is not installed beside batchtwin" if isinstance(error, ModuleNotFoundError) else ""
    if reader.is_empty():
        return f"MLflow: {uri} has no run of the job: {why or f'{type(error).__name__}: {reason}'}"
    if why:
        return f"{_kept(reader)} {why}, so {uri} does not have them"
    return f"{_kept(reader)} {uri} does not take them: {type(error).__name__}: {reason}"


def dropped(reader: LogReader, status: Status, name: str) -> None:
    """Drop what a trial logged."""


def _kept(reader: LogReader) -> str:
    reader.take()
    return f"MLflow: the job logged {logged_counts(reader)}; {reader.folder.parent / FOLDER} holds them;"


def logged_counts(reader: LogReader) -> str:
    """Say how much was logged."""
    amounts = {"parameter": len(reader.params), "metric": len(reader.metrics), "artifact": len(reader.artifacts())}
    amounts["dataset"] = len(reader.datasets())
    words = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in amounts.items() if count]
    return ", ".join(words) or f"{len(reader.tags)} tags"


def left_out(writer: RunWriter) -> str:
    """Say which artifacts are left out of a run."""
    names = ", ".join(writer.too_large[:SHOWN]) + (", ..." if len(writer.too_large) > SHOWN else "")
    count = len(writer.too_large)
    artifacts = f"{count} artifact{'' if count == 1 else 's'}"
    return f"{artifacts} left out, for the files of a run may have {MOST_BYTES >> 30} GiB in all: {names}"


def experiment_of(client: MlflowClient) -> str:
    """Return the experiment that the caller's variables name; else the default one."""
    number = os.environ.get("MLFLOW_EXPERIMENT_ID")
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if number or not name:
        return number or "0"
    with suppress(Exception):
        return str(client.create_experiment(name))
    experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id) if experiment else "0"
