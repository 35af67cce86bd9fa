"""How a job ended: a few plain lines, or on a terminal what happened, where it is, and the next step."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from batchtwin.cli.messages import note, print_json
from batchtwin.engine.output.folder import FAILURES, OutputFolder
from batchtwin.inputs.location import redact
from batchtwin_node.readers.bad_file import printable

if TYPE_CHECKING:
    from batchtwin.api.result import Result

FILES_SHOWN = 3
# Longest reason, in characters.
REASON = 400
COLOURS = {"Completed": "green", "Failed": "red", "Canceled": "yellow"}


def print_result(result: Result, *, as_json: bool = False) -> None:
    """Print how a job ended; its cause goes to stderr."""
    if as_json:
        print_json(result.data())
        return
    for text in filter(None, (result.recalled_cause or result.cause, first_failed(result), result.advice)):
        note(text)
    for line in _on_terminal(result) if sys.stdout.isatty() else _plain(result):
        typer.echo(line)


def first_failed(result: Result) -> str:
    """Return why the first file failed although the job completed, and where the others are; else empty."""
    if not result.ok or not result.failures:
        return ""
    record = result.failures[0]
    where = record.get("at") or record.get("file") or ", ".join(record.get("files", ())[:FILES_SHOWN])
    others = len(record.get("files", ())) - FILES_SHOWN
    more = f" and {others} more" if others > 0 else _in_question(record, result.failures)
    reason = " ".join(str(record.get("message", "")).split())
    reason = reason if len(reason) <= REASON else f"{reason[:REASON]}..."
    files = f"{result.failed} {'file' if result.failed == 1 else 'files'} failed"
    return f"{files}, the first by: {redact(f'{reason} ({where}{more})')}; see {result.folder / FAILURES}"


def _in_question(record: Mapping[str, Any], failures: Iterable[Mapping[str, Any]]) -> str:
    """Return how many other files it may have been: `run()` failed, and the file is not known."""
    if record.get("kind") == "bad_file" or "because_of" in record or "at" in record:
        return ""
    siblings = [other for other in failures if other.get("mini_batch") == record.get("mini_batch")]
    is_known = len(siblings) < 2 or any("because_of" in other for other in siblings)
    return "" if is_known else f" or one of {len(siblings) - 1} more"


def _plain(result: Result) -> Iterator[str]:
    yield str(result.status)
    yield result.summary
    yield result.counts
    yield printable(str(result.written))


def _on_terminal(result: Result) -> Iterator[str]:
    rate = result.rows / result.seconds if result.seconds else 0.0
    status = str(result.status)
    # https://no-color.org
    yield status if os.environ.get("NO_COLOR") else typer.style(status, fg=COLOURS.get(status), bold=True)
    yield result.summary
    yield f"{result.counts} in {result.seconds:,.1f} s, {rate:,.0f} rows/s"
    data = result.data()
    for name in ("predictions", "failures", "report"):
        if data[name]:
            yield printable(f"{name:12} {data[name]}")
    if not result.ok:
        yield printable(f"{'logs':12} {OutputFolder(result.folder).logs}")
    yield printable(f"{'next':12} {next_command(result)}")


def next_command(result: Result) -> str:
    """Return the most likely next command, or advice."""
    if result.must_score_again:
        return "correct the file, then batchtwin score ... --overwrite"
    resume = f"batchtwin resume {quote(str(result.folder))}"
    # A canceled job first resumes; a failed job stays failed.
    if result.failed and str(result.status) != "Canceled":
        return f"{resume} --retry-failed"
    return f"batchtwin verify {quote(str(result.folder))}" if result.ok else resume
