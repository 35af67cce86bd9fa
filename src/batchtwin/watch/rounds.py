"""Score, wait for a change, score again: each run in a folder of its own, compared with the one before."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from batchtwin import safe_open
from batchtwin.api.jobs import run
from batchtwin.api.result import Result
from batchtwin.api.watch import Watch
from batchtwin.engine.prepare import Request
from batchtwin.errors import CANCELED, BatchTwinError
from batchtwin.interrupts import of_a_command
from batchtwin.predictions.compare import compare
from batchtwin.predictions.comparison import Comparison, shortened
from batchtwin.watch.files import Snapshot, WatchedFiles, changes, short_names

# How many folders of complete runs are kept; the last run's is always kept.
KEPT = 2


class Screen(Protocol):
    """Shows rounds to the user."""

    def watch(self) -> Watch:
        """Return what shows a job."""

    def note(self, text: str) -> None:
        """Show a sentence."""

    def result(self, result: Result) -> None:
        """Show how a job ended."""

    def error(self, error: Exception) -> None:
        """Show why there is no job."""


class Rounds:
    """`request_for` makes the request of a run from its output folder, one below `root`; `files` are watched."""

    def __init__(self, request_for: Callable[[Path], Request], root: Path, files: WatchedFiles, screen: Screen) -> None:
        self._request_for = request_for
        self._root = root
        self._files = files
        self._screen = screen
        self._number = 0
        self._complete: list[tuple[int, Result]] = []

    def __call__(self) -> int:
        """Go on until a signal; return the exit code."""
        try:
            while True:
                before, result = self._run()
                self._remove_old()
                if result is not None and result.exit_code == CANCELED:
                    return CANCELED
                before, written = self._files.after_run(before)
                if written:
                    self._screen.note(f"Changed by each run, which no longer starts another: {short_names(written)}")
                self._screen.note(f"Waiting for a change of {len(before)} files; Ctrl-C ends.")
                if not (changed := self._wait(before)):
                    return CANCELED
                self._screen.note(f"\nChanged: {short_names(changed)}")
        except KeyboardInterrupt:
            return CANCELED

    @property
    def _folder(self) -> Path:
        return self._root / f"run-{self._number}"

    def _run(self) -> tuple[Snapshot, Result | None]:
        """Score once, if possible; return the stamps from before."""
        self._number += 1
        before = self._files.snapshot()
        try:
            request = self._request_for(self._folder)
            self._files.follow(request)
            before = self._files.snapshot() | before
            result = run(request, self._screen.watch())
        except (BatchTwinError, OSError, sqlite3.Error) as error:
            self._screen.error(error)
            return before, None
        self._screen.result(replace(result, advice=""))  # the next run goes on with it
        if result.ok:
            self._compare(result)
        return before, result

    def _compare(self, result: Result) -> None:
        """Show what has changed since the last complete run; this run is then the last one."""
        if self._complete and result.predictions_file:
            number, earlier = self._complete[-1]
            try:
                self._screen.note(difference(compare(earlier.folder, result.folder, most=1, in_order=True), number))
            except BatchTwinError as error:
                self._screen.error(error)
        self._complete = [*self._complete, (self._number, result)][-KEPT:]

    def _remove_old(self) -> None:
        folders = {self._folder, *(result.folder for _, result in self._complete)}
        for folder in self._root.glob("run-*"):
            if folder not in folders:
                safe_open.remove(folder, self._root, ignore_errors=True)

    def _wait(self, before: Snapshot) -> list[str]:
        """Return what has changed since `before`, as soon as something has; empty if a signal came."""
        with of_a_command() as caught:
            while not caught:
                if changes(before, self._files.snapshot()) and (changed := changes(before, self._files.settled())):
                    return changed
                time.sleep(self._files.seconds)
        return []


def difference(comparison: Comparison, number: int) -> str:
    """Describe how predictions differ from those of the run `number`."""
    if comparison.equal:
        how = "to the byte" if comparison.same_bytes else f"floats within rtol {comparison.rtol:g}"
        return f"Predictions are as in run {number}: {comparison.right_rows} rows, the same {how}"
    counts = f"{comparison.differing} changed, {comparison.only_right} added, {comparison.only_left} removed"
    lines = [f"Predictions since run {number}, of {comparison.right_rows} rows: {counts}"]
    for first in comparison.differences[:1]:
        row = "" if first.row is None else f" row {first.row}"
        lines.append("The first:" if first.file is None else f"The first, {shortened(first.file)}{row}:")
        sides = (("before", first.left_line, first.left), ("now   ", first.right_line, first.right))
        lines += [f"  {side} line {line}: {shortened(text)}" for side, line, text in sides if text is not None]
    return "\n".join(lines)


def make_runs_folder(output: Path) -> Path:
    """Make the folder of the runs.

    Raises:
        FileExistsError: it holds something.
        OSError: it cannot be made.
    """
    output.mkdir(parents=True, exist_ok=True)
    if os.listdir(output):
        raise FileExistsError
    return output
