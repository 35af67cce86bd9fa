"""How a job ended, as scripts, tests and notebooks see it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtwin import errors
from batchtwin.engine.job import Status, Way
from batchtwin.engine.output.folder import FAILURES, REPORT
from batchtwin.errors import BatchTwinError
from batchtwin.safe_open import open_file

if TYPE_CHECKING:
    import pandas as pd

    from batchtwin.engine.output.result import JobResult as Ended

SHOWN_FAILURES = 3
REPR = 200


class JobError(BatchTwinError):
    """A job that did not complete, or that has no predictions to return. `result` is the job's."""

    def __init__(self, result: Result, text: str) -> None:
        self.result = result
        self.exit_code = result.exit_code or errors.FAILED
        super().__init__(text)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """One job, at its end.

    `status` is `Completed`, `Failed` or `Canceled` (a text); `cause` says why it did not complete, `advice` how to go
    on. `summary` and `counts` are the lines that the command prints. `files` have been processed, `failed` of them
    failed, `rows` are lines of predictions. `folder` is the job's; `written` the predictions file or its URL, or the
    place to look at. `warnings` are sentences. `recalled_cause` is the cause for a reader who has seen the first
    failure while the job ran; empty without a cause.
    """

    status: Status
    summary: str
    cause: str
    advice: str
    counts: str
    files: int
    failed: int
    rows: int
    seconds: float
    folder: Path
    written: Path | str
    warnings: tuple[str, ...]
    exit_code: int
    predictions_file: Path | None = None
    recalled_cause: str = field(default="")
    _way: Way = field(default=Way.NONE)
    _is_driver: bool = field(default=False)
    _is_text: bool = field(default=False)

    @classmethod
    def of(cls, ended: Ended, seconds: float, warnings: tuple[str, ...]) -> Result:
        """Convert the engine's result; `seconds` is how long everything took."""
        is_complete = ended.status is Status.COMPLETED
        return cls(
            status=ended.status,
            summary=ended.summary,
            cause=ended.cause,
            advice=ended.advice,
            counts=ended.counts,
            files=ended.files,
            failed=ended.failed,
            rows=ended.rows,
            seconds=seconds,
            folder=ended.output.root,
            written=ended.written,
            warnings=warnings,
            exit_code=ended.exit_code,
            predictions_file=ended.output.predictions if is_complete else None,
            recalled_cause=ended.recalled_cause,
            _way=ended.way,
            _is_driver=ended.is_driver,
            _is_text=ended.predicts_text,
        )

    @property
    def ok(self) -> bool:
        """Whether the job completed. Files may have failed, as far as the deployment's error threshold allows."""
        return self.status is Status.COMPLETED

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The predictions, with types: `row`, `prediction` and `file_name` of an MLflow model; needs pandas.

        Raises:
            JobError: the job did not complete, or its deployment writes no predictions (`summary_only`).
            BatchTwinError: pandas is not installed.
        """
        if self.predictions_file is None:
            what = "writes no predictions file (output_action: summary_only)" if self.ok else self._first_lines()
            raise JobError(self, f"{self.folder}: no predictions: {what}")
        from batchtwin.predictions.table import read_table

        return read_table(self.predictions_file, is_driver=self._is_driver, is_text=self._is_text)

    @cached_property
    def failures(self) -> list[dict[str, Any]]:
        """The failed files, in plan order: `file`, `mini_batch`, `kind`, `message`, and more where it is known."""
        try:
            with open_file(self.folder / FAILURES, "rb", self.folder) as stream:
                return [json.loads(line) for line in stream]
        except FileNotFoundError:
            return []

    @property
    def report(self) -> Path | None:
        """The job's report, if there is one."""
        path = self.folder / REPORT
        return path if path.is_file() else None

    @property
    def must_score_again(self) -> bool:
        """Whether an input has to be corrected, which no resume reads."""
        return self._way is Way.SCORE

    def raise_for_status(self) -> Result:
        """Return this result if the job completed.

        Raises:
            JobError: it did not; the text is status and cause.
        """
        if self.ok:
            return self
        raise JobError(self, self._first_lines())

    def data(self) -> dict[str, Any]:
        """Return the result for programs: what `--json` prints."""
        failures = self.folder / FAILURES
        return {
            "status": str(self.status),
            "ok": self.ok,
            "exit_code": self.exit_code,
            "cause": self.cause,
            "advice": self.advice,
            "summary": self.summary,
            "files": self.files,
            "failed": self.failed,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "folder": str(self.folder),
            "predictions": str(self.written) if self.predictions_file else None,
            "failures": str(failures) if failures.is_file() else None,
            "report": str(self.report) if self.report else None,
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """Return the result for people: status, cause, first failures, folder."""
        lines = [self._first_lines(), self.summary]
        for record in self.failures[:SHOWN_FAILURES]:
            file = record.get("file") or ", ".join(record.get("files", ())[:SHOWN_FAILURES])
            lines.append(f"  {file}: {record.get('kind')}: {record.get('message')}")
        if len(self.failures) > SHOWN_FAILURES:
            lines.append(f"  and {len(self.failures) - SHOWN_FAILURES} more, in {self.folder / FAILURES}")
        return "\n".join([*lines, f"job: {self.folder}"])

    def _first_lines(self) -> str:
        return f"{self.status}: {self.cause}" if self.cause else str(self.status)

    def __repr__(self) -> str:
        cause = " ".join(self.cause.split())
        cause = f": {cause[:REPR]}{'...' if len(cause) > REPR else ''}" if cause else ""
        return f"<Result {self.status}{cause}; {self.files} files, {self.failed} failed, {self.rows} rows>"

    def _repr_html_(self) -> str:
        """Show the job in a notebook."""
        from batchtwin.api.html import result_html

        return result_html(self)
