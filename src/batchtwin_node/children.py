"""Child processes of a node: their exit codes, the orphans that it adopts from scripts, and the end of all.

Only this module reaps: `waitpid(-1)` collects every child, so that no zombie of a script is left.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import NoReturn

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 4, 15, 36
# The process name of a warm server, which outlives the job that it comes from.
STAYS = "batchtwin-warm"
# A process that survives SIGKILL for so long is left.
END_SECONDS = 5.0
_exit_codes: dict[int, int | None] = {}


def exit_code(status: int) -> int:
    """Return the exit code of a wait status, as `os.waitstatus_to_exitcode`, which Python 3.8 lacks."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def reap() -> None:
    """Collect the exit codes of all children that have ended; those of unknown ones are dropped."""
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
    """A child process that this module waits for. `process` is set if `subprocess` started it."""

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
                self._code = -signal.SIGKILL  # it ended while it was being handed over, and never became a child
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
        until, pause, is_told = time.monotonic() + seconds, 0.0005, True
        while True:
            code = self.poll()
            if code is not None:
                return code
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"process {self.pid} lives on")
            is_told = is_told and _wait_until_ended(self.pid, left)
            if not is_told:
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


def _wait_until_ended(pid: int, seconds: float) -> bool:
    """Wait until a child ends, at most so long; return False at once where the system has no call for it.

    Polling would notice the end some milliseconds late, and a job waits for several ends.
    """
    try:
        descriptor = os.pidfd_open(pid)  # type: ignore[attr-defined,unused-ignore]  # novermin
    except (AttributeError, OSError):  # Python 3.8, another system, or an old Linux
        return False
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll(seconds * 1000)
    finally:
        os.close(descriptor)
    return True


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
    """Undo `hide_descriptors`, in a fork of a process that called it."""
    if sys.platform == "linux":
        _prctl(PR_SET_DUMPABLE, 1)


def open_descriptors() -> frozenset[int]:
    """Return the descriptors that this process has open."""
    opened = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:  # the descriptor that listed the folder
            continue
        opened.add(int(name))
    return frozenset(opened)


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when the parent dies, however it dies; elsewhere the closed pipe ends it."""
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def signal_with_parent(parent: int, number: signal.Signals) -> None:
    """Ask Linux to send this process a signal when the parent dies; if it has died already, send it now."""
    _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def name_process(name: str) -> str:
    """Give this process a name of at most 15 bytes, as `ps` shows it; return the old one."""
    with open("/proc/self/comm", encoding="utf-8", errors="surrogateescape") as comm:
        before = comm.read().rstrip("\n")
    _prctl(PR_SET_NAME, name.encode("utf-8", "surrogateescape"))
    return before


def end_children() -> None:
    """Kill all children, and their children, which this process adopts.

    Warm servers stay; so do processes of other users, which cannot be killed.
    """
    until = time.monotonic() + END_SECONDS
    while time.monotonic() < until:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        pids = _children()
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:  # another user's process, or it has ended
                pass
        time.sleep(0.002)


def _children() -> list[int]:
    """Return the pids of this process's children, warm servers left out."""
    parent, pids = os.getpid(), []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    # The name may hold any bytes; state and parent follow it.
                    head, _, tail = stat.read().rpartition(b")")
            except OSError:  # it has ended
                continue
            if int(tail.split()[1]) == parent and head.partition(b"(")[2] != STAYS.encode():
                pids.append(int(entry))
    return pids


def supervise(controller: int, owned: Iterable[int] = (0, 1)) -> None:
    """Return in the node, a new process; this process becomes its supervisor, and ends as the node does.

    `controller` is the pid of this process's parent, 0 if the parent is not the controller. `owned` are the node's
    descriptors: this process closes them, so that the other ends notice when the node ends.

    Scripts start processes, and those may leave the worker's group, or lose the worker and the node to `kill -9`.
    Supervisor and node each end what is below them when the other one, or the controller, ends. Linux only.
    """
    if sys.platform != "linux":
        return
    signals = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    supervisor = os.getpid()
    node = os.fork()
    if node:
        _supervise(controller, node, signals, owned)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    signal_with_parent(supervisor, signal.SIGTERM)


def _supervise(controller: int, node: int, signals: set[signal.Signals], owned: Iterable[int]) -> NoReturn:
    adopt_orphans()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in owned:
        os.dup2(null, descriptor)
    if controller:
        signal_with_parent(controller, signal.SIGTERM)
    pid = status = 0
    while not pid:
        if signal.sigwait(signals) == signal.SIGTERM:
            os.kill(node, signal.SIGKILL)
        pid, status = os.waitpid(node, os.WNOHANG)
    end_children()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _end(*_: object) -> NoReturn:
    end_children()
    os._exit(128 + signal.SIGTERM)


def _prctl(option: int, value: int | bytes) -> bool:
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
