"""Commands to go on from a job, ready to paste."""

from __future__ import annotations

from shlex import quote

from batchtwin.engine.job import Status, Way
from batchtwin.engine.report.collect import INTERRUPTED, Collected
from batchtwin.engine.report.text import show


def commands_for(job: Collected) -> list[tuple[str, str]]:
    """Return (description, command) pairs for the job's status."""
    root = quote(show(job.root, 4000))
    verify = ("Check that the output is whole", f"batchtwin verify {root}")
    resume = ("Go on where it ended", f"batchtwin resume {root}")
    retry = ("Run the failed files again", f"batchtwin resume {root} --retry-failed")
    report = ("Make this report again, of every row", f"batchtwin report {root} --open")
    against = ("Compare with an earlier job", f"batchtwin report {root} --against EARLIER --open")
    if job.status == Status.RUNNING:
        return [("Make this report again", f"batchtwin report {root} --open")]
    if job.is_complete:
        return [verify, *([retry] if job.counts.failed and job.way != Way.SCORE else []), report, against]
    if job.status == INTERRUPTED:
        return [resume, ("Check what is committed", verify[1]), report]
    if job.way == Way.SCORE:
        return [report]  # the advice has the command
    if job.way == Way.RETRY:
        return [("Run the failed files again, once the cause is fixed", retry[1]), report]
    failed = [retry] if job.counts.failed else []
    if job.status == Status.FAILED:
        resume = ("Go on where it ended, once the cause is fixed", resume[1])
    return [resume, *failed, report]
