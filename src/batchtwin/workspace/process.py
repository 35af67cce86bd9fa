"""The process that answers for a job: started so that it outlives the command, known by pid and time of start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from batchtwin.workspace.errors import StoreError
from batchtwin.workspace.store import VARIABLE

# Pids are used again, but not by a process that started at the same time.
SAME_START_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process: `started` in seconds since the epoch."""

    pid: int
    started: float

    @classmethod
    def this(cls) -> Process:
        """The process that runs this."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this pid now; one that is gone has started never."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return cls(pid, 0.0)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def terminate(self) -> None:
        """Ask it to end in order, if it still runs."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def launch(module: str, name: str, folder: Path, address: str) -> Process:
    """Start `python -m module NAME FOLDER` in a session of its own, and return the process that stays.

    What it starts first only gives its pid and ends, so that the job is nobody's child: it leaves no zombie.

    Raises:
        StoreError: it did not start.
    """
    done = subprocess.run(  # noqa: S603 - this Python, and a name that was checked
        [sys.executable, "-P", "-m", module, name, str(folder)],
        env={**os.environ, VARIABLE: address},  # a password is not for the list of processes
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        text=True,
        check=False,
    )
    if done.returncode or not done.stdout:
        raise StoreError(f"{name}: the job's process did not start: {done.stderr.strip() or done.returncode}")
    return Process.of(int(done.stdout))


def detach(folder: Path) -> None:
    """In the process that `launch` started: fork, tell the pid, and go on with input and output of the job's own."""
    pid = os.fork()
    if pid:
        os.write(1, str(pid).encode())
        os._exit(0)
    log = os.open(folder / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    os.chdir(folder)
