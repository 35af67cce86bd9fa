"""A job of `batchtwin score` as a run of the store that MLFLOW_TRACKING_URI names, while it runs and at its end.

`python -m batchtwin.engine.tracking.follow ROOT NUMBER BEGAN` is a process beside the job: MLflow takes seconds to
import, and a store may not answer. A line of its input is the number of the next run of a job that begins again, or
says that the job has ended. If its input closes without that, the run in the store ends as killed. None of its errors
fails the job.
"""

from __future__ import annotations

import importlib
import os
import select
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.tracking.choice import SWITCH, URI, absolute, is_local
from batchtwin.engine.tracking.logged import LogReader
from batchtwin.subprocesses import collect_rarely, module_command
from batchtwin_node.lines import LineReader

if TYPE_CHECKING:
    from batchtwin.engine.tracking.job_run import ScoreRun

LOOK_SECONDS = 1.0
# After so many seconds a job has a run in the store, even if its script logs nothing.
LONG_SECONDS = 10.0
# Seconds for the rest once the job has ended, and for the end of a run whose job was killed; then it stops.
END_SECONDS, CLOSE_SECONDS = 60.0, 5.0
# MLflow itself retries for minutes where a server does not answer.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
END, LONGEST_LINE = b"end", 100


class Follower:
    """The process beside a job: the job is one run in the store, even if it begins again.

    There is none if the user has no tracking URI, or turns it off.
    """

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_wanted = is_wanted and bool(os.environ.get(URI)) and os.environ.get(SWITCH) != "off"
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, output: OutputFolder, number: int) -> None:
        """Start the process with the first run of the job in `output`; tell it of later runs."""
        with suppress(OSError):
            if self._process is not None:
                self._tell(b"%d" % number)
            elif self._is_wanted:
                self._process = _start(output, number)

    @property
    def is_there(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def end(self) -> str:
        """Have the process write how the job ended; return a sentence for the person."""
        assert self._process is not None  # noqa: S101 - is_there
        try:
            note, _ = self._process.communicate(END + b"\n", timeout=END_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            return f"MLflow: {os.environ.get(URI)} does not answer within {END_SECONDS:g} s; its run may be incomplete"
        text = note.decode(errors="replace").strip()
        return text or f"MLflow: the run of the job in {os.environ.get(URI)} may be incomplete"

    def close(self) -> None:
        """End the process. If the job was cut off, it has a few seconds to end the run in the store."""
        process = self._process
        if process is None:
            return
        try:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(CLOSE_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _tell(self, line: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()


def _start(output: OutputFolder, number: int) -> subprocess.Popen[bytes]:
    words = module_command(__name__, output.root, number, repr(time.time()), warns=False)
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR", "GIT_PYTHON_REFRESH": "quiet"}
    env = {**PATIENCE, "MLFLOW_ALLOW_FILE_STORE": "true", **os.environ, **quiet}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    # A session of its own: Ctrl-C is for the job, which then reports how it ended.
    return subprocess.Popen(  # noqa: S603
        words, stdin=pipe, stdout=pipe, stderr=nothing, env=env, start_new_session=True
    )


class Beside:
    """The state of the process: the job in `output`, whose run `number` began at `began`."""

    def __init__(self, output: OutputFolder, number: int, began: float) -> None:
        self._output, self._began = output, began
        self._uri = absolute(os.environ[URI])
        self._run: ScoreRun | None = None
        self.reader = LogReader(output.logs, number)

    @property
    def is_due(self) -> bool:
        """Whether the job has no run in the store yet, and should have one."""
        return self._run is None and (time.time() - self._began > LONG_SECONDS or not self.reader.is_empty())

    def update(self, *, is_due: bool) -> None:
        """Bring the run up to date; with `is_due`, make it."""
        if is_due:
            self._made()
        if self._run is not None:
            self._run.update()

    def begin_again(self, number: int) -> None:
        """Go on with another run of the job, in the same run of the store; discard what the script logged before."""
        self.reader.remove()
        self.reader = LogReader(self._output.logs, number)
        if self._run is not None:
            self._run.begin_again(self.reader)

    def end(self) -> str:
        """Write how the job ended; return the sentence on it."""
        with closing(Ledger.open(self._output.ledger)) as ledger:
            return self._made().end(ledger)

    def abandon(self) -> None:
        """End the run of a job that was cut off."""
        if self._run is not None:
            self._run.abandon()

    def _made(self) -> ScoreRun:
        from batchtwin.engine.tracking.job_run import ScoreRun

        if self._run is None:
            self._run = ScoreRun(self._output, self.reader, self._uri, self._began)
        return self._run

    def not_delivered(self, error: Exception) -> str:
        """Say why the store does not have the run."""
        from batchtwin.engine.tracking.deliver import not_delivered

        return not_delivered(self.reader, self._uri if is_local(self._uri) else os.environ[URI], error)


def main(root: str, number: int, began: float) -> str:
    """Follow the job to its end; return the sentence on it."""
    os.nice(10)  # the job has priority
    collect_rarely()
    beside = Beside(OutputFolder(Path(root)), number, began)
    lines = LineReader(sys.stdin.fileno(), LONGEST_LINE)
    os.set_blocking(lines.fd, False)
    try:
        while not lines.eof:
            arrived = lines.read() if _is_readable(lines.fd, LOOK_SECONDS) else []
            for line in arrived:
                if line == END:
                    return beside.end()
                beside.begin_again(int(line))
            if is_due := not lines.eof and beside.is_due:
                importlib.import_module("mlflow.tracking")  # takes seconds, in which the job may end
                is_due = not _is_readable(lines.fd, 0)
            beside.update(is_due=is_due)
        beside.abandon()
        return ""
    except Exception as error:
        return beside.not_delivered(error)


def _is_readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
