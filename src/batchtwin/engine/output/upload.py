"""The last steps of a job whose output is a URL: upload the complete output, once for each run, and the report."""

from __future__ import annotations

from pathlib import Path

from batchtwin.engine.job import Job
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.logs import write_result
from batchtwin.engine.output.folder import SCORE
from batchtwin.engine.output.remote import RemoteOutput, not_published
from batchtwin.engine.prepare import Prepared
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.remote import RemoteError

PUBLISHED = "published"


def publish(prepared: Prepared, job: Job, ledger: Ledger) -> None:
    """Copy the complete result to the URL that it is for, unless this run has done so already.

    Raises:
        OutputError: the store refuses; `resume` does this again.
    """
    runs = ledger.fact("runs") or ""
    if prepared.request.publish and ledger.fact(PUBLISHED) != runs:
        # An earlier run that could not be published has left another status there.
        write_result(prepared.output.logs, job, "")
        try:
            store = RemoteOutput(prepared.request.publish)
        except RemoteError as error:
            raise not_published(error, prepared.output) from None
        store.publish(prepared.output)
        ledger.state(PUBLISHED, runs)


def publish_report(prepared: Prepared) -> str:
    """Copy the report to the result of a complete job; return why that failed, empty if it did not."""
    if not prepared.request.publish:
        return ""
    try:
        RemoteOutput(prepared.request.publish).publish_report(prepared.output)
    except BatchTwinError as error:
        return f"The report stays in {prepared.output.report}: {error}"
    return ""


def result_location(prepared: Prepared) -> Path | str:
    """Return the path or URL of the predictions of a complete job, or of what its script wrote."""
    output = prepared.output
    if prepared.request.publish:
        return "/".join(filter(None, [prepared.request.publish.rstrip("/"), SCORE, output.file_name]))
    return output.predictions or output.score
