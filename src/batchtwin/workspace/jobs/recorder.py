"""The process that copies what a script logs with MLflow to the job's run while the job runs.

`python -m batchtwin.workspace.jobs.recorder JOB BEGAN`, started by the job's process as soon as something is logged, or
the job has run for a while: MLflow takes seconds to import, and the job should not wait. It ends when its input says
how the job ended, or closes.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.tracking.logged import LogReader
from batchtwin.redaction import print_traceback
from batchtwin.subprocesses import collect_rarely, module_command
from batchtwin.workspace.database.store import VARIABLE, Store
from batchtwin.workspace.jobs.mlflow_run import FIRST_RUN, JobRun, Measured

# Seconds between two looks at what was logged, and for the rest once the job has ended.
LOOK_SECONDS = 1.0
END_SECONDS = 120.0
# After so many seconds a job has a run, even if its script logs nothing.
LONG_SECONDS = 10.0


class Recorder:
    """Looks whether a job in `folder` has logged something, and then starts the process."""

    def __init__(self, store: Store, name: str, folder: Path, began: float) -> None:
        self._address = store.address
        self._words = module_command("batchtwin.workspace.jobs.recorder", name, repr(began))
        self._logged = LogReader(OutputFolder(folder).logs, FIRST_RUN)
        self._last_look = 0.0
        self._began = began
        self._process: subprocess.Popen[str] | None = None

    def tick(self) -> None:
        """Look, unless it has just looked."""
        if self._process is not None or time.monotonic() - self._last_look < LOOK_SECONDS:
            return
        self._last_look = time.monotonic()
        with suppress(OSError):  # the run is made at the end
            if time.time() - self._began > LONG_SECONDS or not self._logged.is_empty():
                env = {**os.environ, VARIABLE: self._address}
                self._process = subprocess.Popen(self._words, stdin=subprocess.PIPE, text=True, env=env)  # noqa: S603

    def end(self, measured: Measured) -> bool:
        """Have the process write how the job ended; False if none runs, or it fails."""
        if self._process is None:
            return False
        try:
            self._process.communicate(json.dumps(asdict(measured)) + "\n", timeout=END_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        return self._process.returncode == 0


def main(name: str, began: float) -> None:
    """Follow the job to its end."""
    os.nice(10)  # the job has priority
    collect_rarely()
    store = Store.open()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    run = JobRun(store, name, began)
    while not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
        run.update()
    line = sys.stdin.readline()
    # Without a line the job's process was killed.
    run.end(Measured(**json.loads(line)) if line else Measured(began, time.time(), "", {}))
    store.close()


if __name__ == "__main__":
    try:
        main(sys.argv[1], float(sys.argv[2]))
    except Exception:
        print_traceback()
        sys.exit(1)
