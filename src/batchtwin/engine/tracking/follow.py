"""A job of `batchtwin score` as a run of the store that MLFLOW_TRACKING_URI names: while it runs, and how it ended.

`python -m batchtwin.engine.tracking.follow ROOT NUMBER BEGAN` is a process beside the job: MLflow takes seconds to
import, and a store may not answer. It ends when its input says that the job has ended, or closes; nothing that it meets
fails the job.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.tracking.choice import SWITCH, URI, absolute, is_local
from batchtwin.engine.tracking.logged import LogReader

LOOK_SECONDS = 1.0
# A job that runs for longer has its run while it runs, whether or not its script logs anything.
LONG_SECONDS = 10.0
# For the rest, once the job has ended; then it goes on without.
END_SECONDS = 60.0
# MLflow's own tries take minutes where a server does not answer.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Follower:
    """The process beside run `number` of the job in `output`."""

    def __init__(self, output: OutputFolder, number: int) -> None:
        words = [sys.executable, "-W", "ignore", "-m", __name__, str(output.root), str(number), repr(time.time())]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR", "GIT_PYTHON_REFRESH": "quiet"}
        env = {**PATIENCE, "MLFLOW_ALLOW_FILE_STORE": "true", **os.environ, **quiet}
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        # A session of its own: Ctrl-C is for the job, which then says how it ended.
        self._process = subprocess.Popen(  # noqa: S603
            words, stdin=pipe, stdout=pipe, stderr=nothing, env=env, text=True, start_new_session=True
        )

    def end(self) -> str:
        """Have the process write how the job ended; return a sentence for the person."""
        try:
            note, _ = self._process.communicate("end\n", timeout=END_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return f"MLflow: {os.environ.get(URI)} does not answer within {END_SECONDS:g} s; its run may be incomplete"
        return note.strip() or f"MLflow: the run of the job in {os.environ.get(URI)} may be incomplete"

    def close(self) -> None:
        """End the process, if the job has not ended in order."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def follow(output: OutputFolder, number: int) -> Follower | None:
    """Start the process; None if the user has no tracking URI, or does not want it."""
    if not os.environ.get(URI) or os.environ.get(SWITCH) == "off":
        return None
    with suppress(OSError):
        return Follower(output, number)
    return None


def main(root: str, number: int, began: float) -> str:
    """Follow the job to its end; return the sentence on it."""
    from batchtwin.engine.tracking.deliver import not_delivered
    from batchtwin.engine.tracking.job_run import ScoreRun

    os.nice(10)  # the job goes first
    output = OutputFolder(Path(root))
    reader = LogReader(output.logs, number)
    run: ScoreRun | None = None
    uri = absolute(os.environ[URI])
    try:
        while not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            if run is None and (time.time() - began > LONG_SECONDS or not reader.is_empty()):
                run = ScoreRun(output, reader, uri, began)
            if run is not None:
                run.update()
        sys.stdin.readline()
        with closing(Ledger.open(output.ledger)) as ledger:
            return (run or ScoreRun(output, reader, uri, began)).end(ledger)
    except Exception as error:
        return not_delivered(reader, uri if is_local(uri) else os.environ[URI], error)


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
