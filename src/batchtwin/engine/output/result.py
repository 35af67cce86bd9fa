"""How a job ended."""

from __future__ import annotations

from pathlib import Path

from batchtwin import errors
from batchtwin.engine.job import Job, Status, Way, way_on
from batchtwin.engine.listener import counts
from batchtwin.engine.output.failures import files_that_ended_the_job
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Prepared
from batchtwin_node.codec import value_object


@value_object
class JobResult:
    """How a job ended. `cause` says why, with the first real cause, where it did not complete.

    `counts` says what was scored; `files` and `failed` count a file that ended the job too. `written` is the
    predictions file, a text if that is a URL, else the place to look at; `refused` means that the script could not be
    run. `advice` and `way` say how to go on, where it did not complete. `output` is the job's folder; `is_driver`
    says that the MLflow driver scored, no script, and `predicts_text` that its model's signature has texts as
    predictions. `recalled_cause` is the cause for a person who has seen the first failure.
    """

    status: Status
    summary: str
    cause: str
    written: Path | str
    counts: str
    files: int
    rows: int
    failed: int
    output: OutputFolder
    is_driver: bool
    predicts_text: bool = False
    refused: bool = False
    advice: str = ""
    way: Way = Way.NONE
    recalled_cause: str = ""

    @classmethod
    def of(cls, prepared: Prepared, job: Job, cause: str, written: Path | str, advice: str = "") -> JobResult:
        """Return the result of a job that has ended."""
        ended_it = files_that_ended_the_job(job, prepared.plan)
        return cls(
            status=job.status,
            summary=job.summary,
            cause=cause,
            written=written,
            counts=counts(job, prepared.plan, ended_it),
            files=job.processed_items + ended_it,
            rows=job.rows,
            failed=job.failed + ended_it,
            output=prepared.output,
            is_driver=prepared.script is None,
            predicts_text=prepared.script is None and prepared.model.predicts_text,
            refused=job.fatal is not None and job.fatal.kind == "script",
            advice=advice,
            way=way_on(job),
        )

    @property
    def exit_code(self) -> int:
        """0 Completed, 1 Failed, 2 refused, 130 Canceled."""
        if self.refused:
            return errors.REFUSED
        return {Status.COMPLETED: errors.COMPLETED, Status.CANCELED: errors.CANCELED}.get(self.status, errors.FAILED)
