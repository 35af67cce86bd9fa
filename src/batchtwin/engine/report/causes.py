"""Failures grouped by cause: kind, line of the script, and the message without what differs between files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchtwin_node.protocol import Failure, Outcome

MOST_CAUSES = 100
FIRST_FILES = 5
FRAME = re.compile(r'^\s*File "(?P<file>[^"\n]{1,4096})", line (?P<line>\d{1,9})', re.MULTILINE)
# A quoted text, a path, and a number.
VARIABLE = re.compile(r"'[^'\n]{0,200}'|\"[^\"\n]{0,200}\"|(?:[\w.-]*/)+[\w.-]+|\d+(?:\.\d+)?")
LONGEST_MESSAGE = 2000
RUNTIME = "/batchtwin_node/"
FRAMES_SHOWN = 12


@dataclass
class Cause:
    """Failures of one cause. `mini_batches` are the first ones that failed by it, `files` the files known to be bad."""

    kind: str
    line: str
    message: str
    tries: int = 0
    lost: int = 0
    mini_batches: list[int] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


@dataclass
class Causes:
    """The failures of a job. `others` counts tries whose cause is not listed, because there were too many causes."""

    groups: dict[tuple[str, str, str], Cause] = field(default_factory=dict)
    others: int = 0
    first: Failure | None = None

    def add(self, event: Outcome | Failure, is_last: bool, files: int) -> None:
        """Take an event; `is_last` if it ended its mini-batch of `files` files."""
        if isinstance(event, Failure):
            self.first = self.first or event
            line = script_line(event.traceback) if not event.bad_file else ""
            cause = self._cause(event.kind, line, event.message)
            if cause:
                cause.tries += 1
                cause.lost += files if is_last else 0
                _note(cause, event.mini_batch, _file(event))
            return
        if is_last:
            self._shortfalls(event)

    def _shortfalls(self, outcome: Outcome) -> None:
        for bad in outcome.bad_files:
            if cause := self._cause("bad_file", "", bad.message):
                cause.tries += 1
                cause.lost += 1
                _note(cause, outcome.mini_batch, bad.file)
        short = outcome.failed - len(outcome.bad_files)
        if short > 0 and (cause := self._cause("shortfall", "", "run() returned fewer results than it got files")):
            cause.tries += 1
            cause.lost += short
            _note(cause, outcome.mini_batch, None)

    def _cause(self, kind: str, line: str, message: str) -> Cause | None:
        message = message[:LONGEST_MESSAGE]
        key = (kind, line, VARIABLE.sub("…", message))
        if key not in self.groups:
            if len(self.groups) >= MOST_CAUSES:
                self.others += 1
                return None
            self.groups[key] = Cause(kind, line, message)
        return self.groups[key]

    def ordered(self) -> list[Cause]:
        """The causes; those that cost the most files come first."""
        return sorted(self.groups.values(), key=lambda cause: (-cause.lost, -cause.tries))


def _note(cause: Cause, mini_batch: int | None, file: str | None) -> None:
    if file and len(cause.files) < FIRST_FILES and file not in cause.files:
        cause.files.append(file)
    elif (
        mini_batch is not None
        and not file
        and len(cause.mini_batches) < FIRST_FILES
        and mini_batch not in cause.mini_batches
    ):
        cause.mini_batches.append(mini_batch)


def _file(event: Failure) -> str | None:
    """The file that failed, or else that which the script was at."""
    return event.bad_file.file if event.bad_file else event.file or (event.at[0] if event.at else None)


def script_line(traceback: str) -> str:
    """Return `file:line` of a traceback's last frame outside of installed packages, else of its last frame.

    Frames of the runtime do not count: without others the text is empty.
    """
    frames = [frame for frame in FRAME.finditer(traceback[-100_000:]) if RUNTIME not in frame["file"]]
    scripts = [frame for frame in frames if "site-packages" not in frame["file"] and "/lib/python" not in frame["file"]]
    last = scripts[-1:] or frames[-1:]
    return f"{last[0]['file']}:{last[0]['line']}" if last else ""


def last_frames(traceback: str) -> Iterator[str]:
    """Return the last lines of a traceback, without the carets that Python draws."""
    lines = [line for line in traceback[-100_000:].rstrip().splitlines() if line.strip(" ^~")]
    yield from lines[-FRAMES_SHOWN:]
