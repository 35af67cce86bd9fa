"""Run a program, for a limited time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from batchtwin_node.codec import value_object

SECONDS = 2.0


@value_object
class Answer:
    """The result: a `missing` program, a `late` answer, or `ended` with `code` and `text`."""

    kind: Literal["missing", "late", "ended"]
    code: int = 0
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether the program succeeded."""
        return self.kind == "ended" and self.code == 0

    @property
    def first_line(self) -> str:
        """The first line of what it printed, empty for none."""
        return next((line.strip() for line in self.text.splitlines() if line.strip()), "")

    @property
    def reason(self) -> str:
        """The line that says what failed, else the first line."""
        lines = [line.strip() for line in self.text.splitlines()]
        return next((line for line in lines if re.match(r"error|cannot|permission", line, re.I)), self.first_line)


def run_command(command: Sequence[str], seconds: float = SECONDS) -> Answer:
    """Run a program without input. After the time limit it is killed with all that it started."""
    # A file, because a pipe would stay open as long as any process of it lives.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
            )
        except OSError:
            return Answer("missing")
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Answer("late")
        output.seek(0)
        return Answer("ended", code, output.read().decode(errors="replace"))
