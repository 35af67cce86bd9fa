"""What a job reports while it runs: warnings are kept, and users see as much as they request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from batchtwin.engine.job import Job
from batchtwin.engine.progress import Progress, progress_for
from batchtwin.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Iterable

WARNING = "Warning: "


class Silent:
    """A progress that shows nothing."""

    def update(self, job: Job) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing: there is nothing to restore."""


class Watch:
    """The progress of one job. Before `begin` sentences go to `note`, afterwards to the progress that `start` makes.

    All warnings are kept in `warnings`, each once.
    """

    def __init__(self, note: Callable[[str], None], start: Callable[[], Progress]) -> None:
        self._note = note
        self._start = start
        self._progress: Progress | None = None
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings until now."""
        return tuple(self._warnings)

    def begin(self) -> None:
        """The job starts."""
        self._progress = self._start()

    def warn(self, warnings: Iterable[str]) -> None:
        """Show warnings, a line each."""
        for warning in warnings:
            self.note(f"{WARNING}{warning}")

    def update(self, job: Job) -> None:
        """Show the status of the job."""
        if self._progress is not None:
            self._progress.update(job)

    def note(self, text: str) -> None:
        """Show a sentence."""
        text = hide(text)
        if text.startswith(WARNING):
            self._warnings[text.removeprefix(WARNING)] = None
        (self._note if self._progress is None else self._progress.note)(text)

    def close(self) -> None:
        """Restore the screen; later sentences are written as before the start."""
        if self._progress is not None:
            self._progress.close()


def watch_for(progress: bool | Progress) -> Watch:
    """Return what shows a job: nothing, the progress for this notebook or terminal, or the caller's own."""
    if progress is True:
        return Watch(lambda text: print(text, file=sys.stderr, flush=True), notebook_or_terminal)
    shown: Progress = Silent() if progress is False else progress
    return Watch(shown.note, lambda: shown)


def notebook_or_terminal() -> Progress:
    """A bar in a notebook or on a terminal, else plain lines on stderr."""
    if in_notebook():
        from batchtwin.api.notebook import NotebookProgress

        return NotebookProgress()
    return progress_for(sys.stderr)


def in_notebook() -> bool:
    """Whether cells can show pictures: a kernel of Jupyter, not IPython on a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
