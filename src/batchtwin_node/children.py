"""Child processes of a node: their exit codes, and the orphans that the node adopts from scripts.

One place reaps: `waitpid(-1)` takes whatever has ended, so that no zombie is left of what a script started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
_exit_codes: dict[int, int | None] = {}


def exit_code(status: int) -> int:
    """Return the exit code of a wait status, as `os.waitstatus_to_exitcode`, which Python 3.8 lacks."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def reap() -> None:
    """Take the exit codes of all children that have ended; those of unknown ones are dropped."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if pid in _exit_codes:
            _exit_codes[pid] = exit_code(status)


class Child:
    """A child process that this module waits for. `process` is given where `subprocess` started it."""

    def __init__(self, pid: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._process = process
        self._code: int | None = None
        _exit_codes[pid] = None

    def poll(self) -> int | None:
        """Return None while it lives, then its exit code; negative for the signal that ended it."""
        if self._code is None:
            reap()
            self._code = _exit_codes[self.pid]
            if self._code is None and not _is_child(self.pid):
                self._code = -signal.SIGKILL  # never became ours: it ended while it was being handed over
            if self._code is not None:
                del _exit_codes[self.pid]
                if self._process is not None:
                    self._process.returncode = self._code
        return self._code

    def wait(self, seconds: float) -> int:
        """Wait for its end.

        Raises:
            TimeoutError: it lives longer than `seconds`.
        """
        until, pause = time.monotonic() + seconds, 0.0005
        while True:
            code = self.poll()
            if code is not None:
                return code
            if time.monotonic() >= until:
                raise TimeoutError(f"process {self.pid} lives on")
            time.sleep(pause)
            pause = min(pause * 2, 0.02)

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        if self.poll() is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.wait(60.0)


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def adopt_orphans() -> bool:
    """Become the parent of grandchildren whose own parent ends; only Linux can."""
    return sys.platform == "linux" and _prctl(PR_SET_CHILD_SUBREAPER, 1)


def hide_descriptors() -> None:
    """Close `/proc/PID/fd` of this process to other processes of the same user."""
    if sys.platform == "linux":
        _prctl(PR_SET_DUMPABLE, 0)


def show_descriptors() -> None:
    """Undo `hide_descriptors`, in a process that was forked from one that did that."""
    if sys.platform == "linux":
        _prctl(PR_SET_DUMPABLE, 1)


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when the parent dies, however it dies; elsewhere the closed pipe ends it."""
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> bool:
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
