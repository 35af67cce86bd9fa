"""The process that answers for a job: started so that it outlives the command, known by the lock that it holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from batchtwin.locks import hold, is_held
from batchtwin.workspace.errors import StoreError
from batchtwin.workspace.store import VARIABLE

LOCK = "runner.lock"
# Pids are used again, but not by a process that started at the same time.
SAME_START_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process: `started` in seconds since the epoch, by the clock as it was set when this was noted."""

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
        """Whether it still runs, as far as the clock was not set meanwhile; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def terminate(self, module: str, name: str) -> None:
        """Ask it to end in order, if it is what `launch` started, and not another that has the pid by now."""
        with suppress(psutil.Error, ProcessLookupError):
            if {module, name} <= set(psutil.Process(self.pid).cmdline()):
                os.kill(self.pid, signal.SIGTERM)


@contextmanager
def answering(folder: Path) -> Iterator[int]:
    """Answer for the job of a folder until the end of the block: give the descriptor of its lock.

    Who inherits the descriptor answers for the job, too. The kernel lets go of the lock when the last of them is gone,
    however it ends, and whatever becomes of the clock.
    """
    with hold(folder / LOCK) as descriptor:
        yield descriptor


def is_answered(folder: Path) -> bool | None:
    """Whether a process answers for the job of a folder; None if the job has no lock."""
    return is_held(folder / LOCK)


def launch(module: str, name: str, folder: Path, address: str, lock: int) -> Process:
    """Start `python -m module NAME FOLDER` in a session of its own, and return the process that stays.

    What it starts first only gives its pid and ends, so that the job is nobody's child: it leaves no zombie. It
    inherits `lock`, and what it starts itself does not: `subprocess` closes all that it is not told to pass.

    Raises:
        StoreError: it did not start.
    """
    done = subprocess.run(  # noqa: S603 - this Python, and a name that was checked
        [sys.executable, "-P", "-m", module, name, str(folder)],
        env={**os.environ, VARIABLE: address},  # a password is not for the list of processes
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        pass_fds=[lock],
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
