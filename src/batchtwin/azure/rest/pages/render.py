"""The pages as HTML, in the report's style, with links to the other pages; live while something runs."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.report.collect import collect
from batchtwin.engine.report.page import render
from batchtwin.engine.report.templates import Frame, frame_context, template_environment
from batchtwin.engine.report.write import predictions_of
from batchtwin.workspace.entities import Asset, JobRecord

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MESSAGE_HEADERS = {**HEADERS, "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
# The page of a running job is made at most so often; those of ended jobs are kept.
FRESH_SECONDS = 1.0
KEPT = 16


@cache
def pages() -> Environment:
    """Return the templates of the pages, beside those of the report."""
    from jinja2 import ChoiceLoader, FileSystemLoader

    templates = template_environment()
    loader = ChoiceLoader([FileSystemLoader(TEMPLATES), templates.loader])  # type: ignore[list-item]
    return templates.overlay(loader=loader)


def message(title: str, text: str) -> str:
    """A page of one sentence."""
    return pages().get_template("message.html.j2").render(title=title, text=text)


def index(context: dict[str, object]) -> str:
    """The page of the workspace."""
    return pages().get_template("index.html.j2").render(**context, **frame_context(Frame((), live=True)))


def model(asset: Asset, facts: list[tuple[str, str]], jobs: list[dict[str, object]], frame: Frame) -> str:
    """The page of a version of a model: facts about it, and the jobs that scored with it."""
    context = {"asset": asset, "facts": facts, "jobs": jobs, **frame_context(frame)}
    return pages().get_template("model.html.j2").render(context)


def files(name: str, names: list[tuple[str, str, str]], frame: Frame) -> str:
    """The page of a job's files: (path, size, address)."""
    return pages().get_template("files.html.j2").render(name=name, files=names, **frame_context(frame))


def waiting(job: JobRecord, lines: list[str], frame: Frame) -> str:
    """The page of a job that has no ledger yet, or never got one."""
    context = {"record": job, "lines": lines, **frame_context(frame)}
    return pages().get_template("waiting.html.j2").render(context)


class Reports:
    """Pages of jobs, kept for a while: several people may look at one job."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, object, str]] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, job: JobRecord, frame: Frame) -> str | None:
        """Return the report of a job; None if it has no ledger.

        Raises:
            BatchTwinError: its ledger cannot be read.
        """
        state = (job.status, job.ended)
        with self._lock:
            rendered_at, fingerprint, html = self._kept.get(job.name, (0.0, None, ""))
            if fingerprint == state and (job.status.is_final or time.monotonic() - rendered_at < FRESH_SECONDS):
                return html
            output = OutputFolder(job.output)
            if not output.ledger.exists():
                return None
            with closing(Ledger.open(output.ledger)) as ledger:
                collected = collect(output, ledger)
            html = render(collected, *predictions_of(collected, every_row=False), frame=frame)
            self._kept[job.name] = (time.monotonic(), state, html)
            self._kept.move_to_end(job.name)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return html
