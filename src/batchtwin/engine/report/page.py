"""Collected data -> HTML. Every text passes `show` and is escaped, whatever it is and wherever it stands."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from batchtwin import __version__
from batchtwin.engine.report import charts, text
from batchtwin.engine.report.causes import FIRST_FILES, last_frames, script_line
from batchtwin.engine.report.collect import Collected
from batchtwin.engine.report.commands import commands_for
from batchtwin.engine.report.distributions import column_view, file_views
from batchtwin.engine.report.predictions import MOST_COLUMNS, Earlier, Predictions
from batchtwin.engine.report.templates import Frame, frame_context, template_environment
from batchtwin.engine.report.timeline import BINS
from batchtwin.inputs.location import redact
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    pass

ENVIRONMENT = "environment: "
# For a report that is a file, not a page of a server.
ALONE = Frame()
TITLES = {
    "raised": "run() raised an error",
    "wrong_type": "run() returned neither a list nor a DataFrame",
    "timeout": "run() took longer than the timeout",
    "crashed": "The worker process ended",
    "script": "The script cannot be used",
    "init": "init() failed",
    "bad_file": "A file cannot be read",
    "write": "Rows cannot be written",
    "shortfall": "Fewer results than files",
}


@value_object
class Tile:
    """One figure, with a note below it."""

    name: str
    value: str
    note: str = ""
    alarm: bool = False


def render(
    job: Collected,
    predictions: Predictions | None,
    note: str = "",
    earlier: Earlier | None = None,
    frame: Frame = ALONE,
) -> str:
    """Return the report as one HTML document. `note` says why there are no predictions, or comments on them.

    `earlier` is the job to compare with.
    """
    context = {
        **frame_context(frame),
        "version": __version__,
        "written": text.instant(time.time()),
        "job": job,
        "name": job.root.name,
        **_summary(job),
        **_time(job),
        **_failures(job),
        **_predictions(predictions, note, earlier),
    }
    html = template_environment().get_template("page.html.j2").render(context)
    # No file can hold a lone surrogate.
    return html.encode(errors="backslashreplace").decode()


def _summary(job: Collected) -> dict[str, object]:
    about = job.about
    first = job.causes.first
    failed = bool(job.cause) and first is not None and job.status == "Failed"
    differences = [warning.removeprefix(ENVIRONMENT) for warning in about.warnings if warning.startswith(ENVIRONMENT)]
    return {
        "tiles": list(_tiles(job)),
        "cause_lines": [line for line in job.cause.splitlines() if line.strip()][:20],
        "cause_at": script_line(first.traceback) if failed and first else "",
        "trace": list(last_frames(first.traceback)) if failed and first else [],
        "advice": job.advice,
        "commands": commands_for(job),
        "warnings": [*(word for word in about.warnings if not word.startswith(ENVIRONMENT)), *job.notes],
        "differences": differences,
        "facts": [(key, value) for key, value in _facts(job, differences) if value],
    }


def _tiles(job: Collected) -> Iterator[Tile]:
    counts, totals = job.counts, job.totals
    ended = counts.succeeded + counts.failed
    yield Tile(_items(job), f"{counts.succeeded:,}", f"succeeded of {totals.files:,}")
    left = totals.files - ended
    yield Tile(
        "Failed files",
        f"{counts.failed:,}",
        f"{left:,} {'to go' if job.is_running else 'never ended'}" if left else "",
        alarm=counts.failed > 0,
    )
    rows_in = f"{counts.rows_in:,} rows read" if counts.counted else ""
    if counts.counted and counts.counted < counts.succeeded:
        rows_in += f" from {counts.counted:,} files"
    yield Tile("Rows out", f"{counts.rows:,}", rows_in)
    seconds = max(job.ended - job.began, 1e-6)
    yield Tile("Time", text.seconds(seconds), text.plural(job.about.workers, "worker") if job.about.workers else "")
    yield Tile("Rows per second", text.rate(counts.rows / seconds), "over the whole job")
    ended_batches = f"{totals.ended:,} of {totals.mini_batches:,}"
    retries = f"{job.timeline.retries:,} retries" if job.timeline.retries else ""
    yield Tile("Mini-batches", ended_batches if totals.ended < totals.mini_batches else f"{totals.ended:,}", retries)


def _items(job: Collected) -> str:
    return "Files and parts" if job.totals.parts else "Files"


def _facts(job: Collected, differences: list[str]) -> Iterator[tuple[str, str]]:
    about = job.about
    kind, _, rest = job.environment.partition(" ")
    places = {"venv": f"an environment of its own, {rest}", "image": f"image {rest}"}
    yield "Environment", about.environment or places.get(kind, job.environment)
    yield "Differences", "" if differences else "none known"
    yield "Deployment", about.yaml
    yield "Model", about.model
    yield "Trained in", about.training
    yield "Script", about.script
    yield "Input", f"{about.input} ({text.plural(job.totals.paths, 'file')}, {text.size(job.totals.size)})"
    yield "Output", str(job.root)
    yield "Rows written", text.size(job.counts.bytes) if job.counts.bytes else ""
    yield from about.settings.items()
    yield "Controller", f"batchtwin {about.batchtwin}, Python {about.python}, {about.platform}" if about.python else ""


def _time(job: Collected) -> dict[str, object]:
    timeline = job.timeline
    phases = charts.phases(timeline)
    lanes = charts.lanes(timeline)
    replaced = f", {text.plural(timeline.replaced, 'worker')} ended before the job" if timeline.replaced else ""
    tries = text.plural(timeline.total, "try").replace("trys", "tries")
    workers = text.plural(len(timeline.lanes) + len(timeline.hidden), "worker process")
    return {
        "timeline": timeline,
        "bins": BINS,
        "phases": phases,
        "phase_strip": charts.phase_strip(phases),
        "efficiency": _efficiency(job),
        "lanes": lanes,
        "tries_text": f"{tries} by {workers.replace('processs', 'processes')}{replaced}.",
        "hidden_lanes": charts.hidden_lanes(timeline),
        "rates": charts.rates(timeline, _items(job)),
        "usage": list(charts.usage(job.usage)),
        "slowest": [
            {
                "number": outcome.mini_batch,
                "file": _file((job.files.get(outcome.mini_batch) or ["?"])[0], job),
                "more": job.totals.items[outcome.mini_batch] - 1,
                "attempt": outcome.attempt,
                "seconds": outcome.seconds,
                "run": outcome.run_seconds,
                "rows": outcome.rows,
                "worker": outcome.worker,
            }
            for _, _, outcome in job.slowest
        ],
    }


def _efficiency(job: Collected) -> str:
    """Return which part of the workers' time was work."""
    timeline, workers = job.timeline, job.about.workers
    if timeline.first is None or not workers or timeline.busy <= 0 or job.is_running:
        return ""
    possible = workers * max(timeline.last - timeline.first, 1e-6)
    share = min(timeline.busy / possible, 1.0)
    return (
        f"While mini-batches ran, {text.plural(workers, 'worker')} were at work {text.percent(share)} of the time; "
        f"{text.percent(timeline.run / timeline.busy)} of that in run(), the rest on reading and writing around it."
    ).replace("1 worker were", "1 worker was")


def _file(path: str, job: Collected) -> str:
    """Return a file as the user knows it: below the input folder by its name there."""
    redacted = redact(path)
    base = job.about.input.rstrip("/") + os.sep
    return redacted.removeprefix(base) if len(base) > 1 else redacted


def _failures(job: Collected) -> dict[str, object]:
    causes = job.causes.ordered()
    listed = causes[:25]
    rest = causes[25:]
    tries = sum(cause.tries for cause in rest) + job.causes.others
    more = f"{tries:,} more failed tries have other causes." if tries else ""
    views = []
    for cause in listed:
        names = (
            cause.files
            + [(job.files.get(number) or ["?"])[0] for number in cause.mini_batches][: FIRST_FILES - len(cause.files)]
        )
        title = TITLES.get(cause.kind, cause.kind)
        files = [_file(name, job) for name in names]
        views.append(
            {
                "title": title,
                "line": cause.line,
                "message": cause.message,
                "tries": cause.tries,
                "lost": cause.lost,
                "files": files,
            }
        )
    return {"causes": views, "more_causes": more}


def _predictions(predictions: Predictions | None, note: str, earlier: Earlier | None) -> dict[str, object]:
    empty: dict[str, object] = {"columns": [], "more_columns": "", "file_note": "", "file_views": [], "earlier": None}
    if predictions is None or not predictions.columns:
        return empty | {"predictions_note": note or "There are no rows."}
    before = earlier.predictions.columns if earlier and earlier.predictions else {}
    files, sentence = file_views(predictions)
    more = predictions.more_columns
    return {
        "predictions_note": " ".join(filter(None, [note, _read_note(predictions)])),
        "columns": [column_view(name, column, before.get(name)) for name, column in predictions.columns.items()],
        "more_columns": f"Of more columns than {MOST_COLUMNS} only these are shown." if more else "",
        "file_note": sentence,
        "file_views": files,
        "earlier": earlier,
    }


def _read_note(predictions: Predictions) -> str:
    """Return a sentence on how many rows the distributions cover."""
    unread = f" {text.plural(predictions.unread, 'line')} are not laid out as the others." if predictions.unread else ""
    if not predictions.is_sample:
        return f"{'The only row was' if predictions.read == 1 else f'All {predictions.read:,} rows were'} read.{unread}"
    sampled = any(column.level for column in predictions.columns.values())
    return (
        f"A sample: {predictions.read:,} of {predictions.rows:,} rows were read, in blocks spread evenly over the "
        f"output{', and of these some at random' if sampled else ''}. Shares and quantiles are approximate; "
        f"batchtwin report reads every row.{unread}"
    )
