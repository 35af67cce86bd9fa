"""What a person sees while a job runs."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess

import pytest

from batchtwin.engine import progress
from batchtwin.engine.job import Job, Rules
from batchtwin.engine.logs import duration
from support import COMMAND, DEADLINE, Project


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3599, "0:59:59"), (3600, "1:00:00"), (90061, "25:01:01")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def half_done() -> Job:
    job = Job([1] * 4, Rules(1, -1, True, 1))
    job.out_of_tries = {0: None, 1: None}  # type: ignore[dict-item]
    return job


def test_the_line_estimates_what_remains() -> None:
    text = "Processed 2 of 4 mini batches in 0:01:00. Estimate remaining 0:01:00."
    assert progress.progress_line(half_done(), 60) == text
    assert progress.progress_line(Job([1], Rules(1, -1, True, 1)), 5) == "Processed 0 of 1 mini batches in 0:00:05."


def test_plain_lines_are_written_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    shown = progress.progress_for(stream)
    shown.update(half_done())
    assert stream.getvalue() == ""
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    shown.update(half_done())
    shown.note("a note")
    shown.close()
    assert re.fullmatch(r"Processed 2 of 4 mini batches in .*\na note\n", stream.getvalue())


def test_a_terminal_shows_a_bar_and_notes_above_it(project: Project) -> None:
    project.files(12)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = """
        import time
        def run(mini_batch):
            time.sleep(0.1)
            if mini_batch[0].endswith("03.txt"):
                raise ValueError("[red]boom")
            return ["row"] * 1000
    """
    leader, follower = pty.openpty()
    words = [str(COMMAND), *map(str, project.words())]
    env = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=follower, text=True, env=env) as process:
        os.close(follower)
        seen = read_all(leader)
        out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert out.startswith("Completed\n")
    assert "First failure: ValueError: [red]boom" in seen
    assert re.search(r"\d+/12", seen)
    assert "rows/s" in seen
    assert "1 failed" in seen


def read_all(descriptor: int) -> str:
    """Read a terminal until its other side is closed, which Linux tells as an error."""
    chunks = []
    try:
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
    except OSError:
        pass
    os.close(descriptor)
    return b"".join(chunks).decode()
