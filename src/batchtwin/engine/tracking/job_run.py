"""What batchtwin knows of a job -> an MLflow run. Only processes beside jobs use this: it imports MLflow."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.deployment.model import read_model
from batchtwin.engine.job import Status
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import REPORT, OutputFolder
from batchtwin.engine.report.collect import INTERRUPTED, Collected, collect
from batchtwin.engine.tracking import curves, lineage
from batchtwin.engine.tracking.choice import MACHINE_LEARNING, is_local
from batchtwin.engine.tracking.curves import Curves, Value
from batchtwin.engine.tracking.deliver import MOST_POINTS, STATUSES, RunWriter, experiment_of, left_out, logged_counts
from batchtwin.engine.tracking.logged import LogReader
from batchtwin.inputs.location import redact, without_query
from batchtwin.redaction import hide

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# MLflow's limit for the value of a parameter or tag.
LONGEST = 5000


def log_values(client: MlflowClient, run_id: str, values: list[Value]) -> None:
    """Add points of curves. What MLflow refuses, such as a name with another use, is left out."""
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    for first in range(0, len(values), MOST_POINTS):
        points = [
            Metric(value.key, value.value, int(value.at * 1000), value.step)
            for value in values[first : first + MOST_POINTS]
        ]
        with suppress(MlflowException):
            client.log_batch(run_id, metrics=points)


def log_files(client: MlflowClient, run_id: str, output: OutputFolder) -> None:
    """Add the head of the predictions, below a header, and the report."""
    predictions = output.predictions
    if predictions and (head := curves.predictions_head(predictions, output.root)):
        client.log_text(run_id, head, f"head-{predictions.name}")
    if report := curves.report_html(output.root):
        client.log_text(run_id, report, REPORT)


class ScoreRun:
    """The run of a job of `batchtwin score` that began at `began`, in the store `uri`. The constructor creates it."""

    def __init__(self, output: OutputFolder, reader: LogReader, uri: str, began: float) -> None:
        from mlflow.tracking import MlflowClient

        self._output, self._reader, self._uri, self._began = output, reader, uri, began
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._experiment = experiment_of(self._client)
        created = self._client.create_run(self._experiment, int(began * 1000), run_name=output.root.name)
        self._run: str = created.info.run_id
        self._writer = RunWriter(self._client, self._run, reader)
        self._curves = Curves(output.root, began)

    def update(self) -> None:
        """Add what the script has logged since the last call, and how far the job has come."""
        self._writer.update()
        log_values(self._client, self._run, self._curves.take())

    def begin_again(self, reader: LogReader) -> None:
        """Go on with the next run of the job; `reader` reads what its script logs."""
        self._reader = reader
        self._writer = RunWriter(self._client, self._run, reader)
        self._curves = Curves(self._output.root, self._began)

    def abandon(self) -> None:
        """End the run of a job that was cut off, without waiting for more."""
        self._client.set_terminated(self._run, STATUSES[Status.CANCELED])
        self._client.set_tag(self._run, "status", INTERRUPTED)

    def end(self, ledger: Ledger) -> str:
        """Add how the job ended; return a sentence with the address of the run."""
        job = collect(self._output, ledger)
        self._writer.update()
        self._writer.artifacts()
        points = [*self._curves.take(is_end=True), *curves.at_the_end(self._output.root), *self._figures(job)]
        log_values(self._client, self._run, points)
        self._facts(job)
        self._origin(job)
        log_files(self._client, self._run, OutputFolder(self._output.root, job.about.output_file))
        statuses = {str(status): word for status, word in STATUSES.items()}
        self._client.set_terminated(self._run, statuses.get(job.status, "FAILED"), int(job.ended * 1000))
        note = self._note()
        if self._writer.too_large:
            return f"{note}; {left_out(self._writer)}; {self._reader.folder} holds all"
        self._reader.remove()
        return note

    def _figures(self, job: Collected) -> list[Value]:
        seconds = max(job.ended - job.began, 1e-9)
        figures: dict[str, float] = {
            "files": job.counts.succeeded + job.counts.failed,
            "succeeded": job.counts.succeeded,
            "failures": job.counts.failed,
            "mini_batches": job.totals.ended,
            "rows": job.counts.rows,
            "seconds": seconds,
            "rows_per_second": job.counts.rows / seconds,
        }
        metrics = self._reader.metrics
        return [Value(key, value, job.ended, 0) for key, value in figures.items() if key not in metrics]

    def _facts(self, job: Collected) -> None:
        """Add parameters and tags; those of the script have priority."""
        from mlflow.entities import Param, RunTag

        about = job.about
        params = {"deployment": about.deployment, "endpoint": about.endpoint, "input": about.input, **about.settings}
        tags = {"status": job.status, "model": about.model, "error": job.cause}
        unset = {key: value for key, value in params.items() if value and key not in self._reader.params}
        marks = {key: value for key, value in tags.items() if value and key not in self._reader.tags}
        self._client.log_batch(
            self._run,
            params=[Param(key, _fitting(value)) for key, value in unset.items()],
            tags=[RunTag(key, _fitting(value)) for key, value in marks.items()],
        )

    def _origin(self, job: Collected) -> None:
        """Link the run with the one that trained the model, if that is in this store."""
        with suppress(Exception):
            origin = lineage.training_origin(self._client, read_model(Path(job.about.model_path)))
            lines = [f"Batch job of deployment `{job.about.deployment}`.", "", f"* Model: `{job.about.model}`"]
            if origin.run:
                self._client.set_tag(self._run, lineage.TRAINING_TAG, origin.run)
                lines.append(f"* Trained in: [run {origin.run}](#/runs/{origin.run})")
            lineage.link_input(self._client, self._run, origin.logged)
            lines.append("* Report: `report.html` among the artifacts")
            lineage.describe(self._client, self._run, "\n".join(lines))

    def _note(self) -> str:
        address = f"run {self._run} of {redact(self._uri)}"
        if not is_local(self._uri) and self._uri.startswith("http"):
            page = f"{hide(without_query(self._uri)).rstrip('/')}/#/experiments/{self._experiment}/runs/{self._run}"
            address += f": {page}{MACHINE_LEARNING}"
        if self._reader.is_empty():
            return f"MLflow: the job is {address}"
        text = f"MLflow: the job logged {logged_counts(self._reader)}; they are in {address}"
        refused = self._writer.refused + self._reader.left_out
        more = f"; {refused} values did not fit in one run, such as a second value of a parameter"
        return text + more if refused else text


def _fitting(value: str) -> str:
    return value.encode(errors="backslashreplace").decode()[:LONGEST]
