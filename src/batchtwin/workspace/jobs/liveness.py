"""The process of a job: it outlives the command, and holds the lock of the job's folder while it lives."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from batchtwin.subprocesses import module_command
from batchtwin.workspace.database.store import VARIABLE
from batchtwin.workspace.errors import StoreError
from batchtwin_node.codec import value_object

# The process that holds this lock in the folder of a job is responsible for the job. The command takes it, and the
# job's process inherits its descriptor: however the process ends, and even if the clock changes, the kernel releases
# the lock.
LOCK = "runner.lock"
RUNNER = "batchtwin.workspace.jobs.runner"
# Pids are used again, but not by a process that started at the same time.
SAME_START_SECONDS = 1.0


@value_object
class Process:
    """A process: `started` in seconds since the epoch, by the clock at that moment."""

    pid: int
    started: float

    @classmethod
    def this(cls) -> Process:
        """This process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this pid now; one that has ended has 0 as its start."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return cls(pid, 0.0)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs, unless the clock was set meanwhile; a zombie does not run."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.started) < SAME_START_SECONDS
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def is_of(self, folder: Path) -> bool:
        """Whether this is the process of the job in `folder`, and not another one with the same pid."""
        if self.is_alive:
            return True
        # The clock may have been set since.
        with suppress(psutil.Error):
            return str((folder / LOCK).resolve()) in {file.path for file in psutil.Process(self.pid).open_files()}
        return False

    def terminate(self, folder: Path) -> None:
        """Send SIGTERM, if this is the process of the job in `folder`."""
        with suppress(ProcessLookupError):
            if self.is_of(folder):
                os.kill(self.pid, signal.SIGTERM)


# Starts the process of a job, by its name, its folder, the address of its workspace, and the descriptor of its lock.
Launch = Callable[[str, Path, str, int], Process]


def launch(name: str, folder: Path, address: str, lock: int) -> Process:
    """Start `python -m batchtwin.workspace.jobs.runner NAME FOLDER`, and return the process that stays.

    It has a session of its own. The first process forks, prints the pid of its child and exits: the job is no child of
    the command and leaves no zombie. The job inherits `lock`; its own children do not, because `subprocess` closes
    descriptors by default.

    Raises:
        StoreError: it did not start.
    """
    done = subprocess.run(  # noqa: S603 - this Python, and a name that was checked
        module_command(RUNNER, name, folder),
        env={**os.environ, VARIABLE: address},  # lists of processes must not show a password
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
