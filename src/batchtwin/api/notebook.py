"""The bar of a notebook: one cell output that changes. It needs no widgets."""

from __future__ import annotations

import html
import time
from importlib import import_module
from typing import Any

from batchtwin.engine.job import Job
from batchtwin.engine.progress import progress_line

SECONDS = 0.5


class NotebookProgress:
    """A bar, the service's line below it, and the last sentence of the job."""

    def __init__(self) -> None:
        shown: Any = import_module("IPython.display")
        self._html = shown.HTML
        self._began = self._last_shown = time.monotonic()
        self._notes: list[str] = []
        self._line, self._done, self._all = "starting workers", 0, 0
        self._handle: Any = shown.display(shown.HTML(self._text()), display_id=True)

    def update(self, job: Job) -> None:
        """Move the bar, unless it has just moved."""
        now = time.monotonic()
        if now - self._last_shown >= SECONDS and job.processed:
            self._last_shown = now
            self._line, self._done, self._all = progress_line(job, now - self._began), job.processed, len(job.items)
            self._show()

    def note(self, text: str) -> None:
        """Show a sentence below the bar."""
        self._notes.append(text)
        self._show()

    def close(self) -> None:
        """Remove the bar; sentences stay."""
        self._line = ""
        self._show()

    def _show(self) -> None:
        if self._handle is not None:
            self._handle.update(self._html(self._text()))

    def _text(self) -> str:
        notes = "".join(f"<pre style='margin:0'>{html.escape(note)}</pre>" for note in self._notes)
        if not self._line:
            return notes
        value = f"value='{self._done}' max='{self._all}'" if self._all else ""
        return f"<progress {value}></progress> {html.escape(self._line)}{notes}"
