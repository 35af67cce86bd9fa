"""The template process seen from the parent: started early, asked to fork workers once it is ready.

Workers forked from it have nothing to import and share what it has loaded. They become children of this process, not
of the template, so that they are waited for, watched and killed like those that start by themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from batchtwin_node.protocol import ForkRequest, ForkServerConfig

PR_SET_CHILD_SUBREAPER = 36
FORK_SECONDS = 30.0
# In the environment of `batchtwin`: start each worker as a process of its own.
OFF = "BATCHTWIN_NO_FORK"


class Child(Protocol):
    """What a WorkerProcess asks of its process; a `subprocess.Popen` can do it."""

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """Return None while it lives, then its exit code; negative for the signal that ended it."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""


class Forked:
    """A worker that was forked from the template, and is now a child of this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return None while it lives, then its exit code."""
        if self._code is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, `timeout` seconds at most."""
        if self.poll() is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                if not select.select([descriptor], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
            finally:
                os.close(descriptor)
        code = self.poll()
        return -signal.SIGKILL if code is None else code


class ForkServer:
    """A template process, or, where there can be none, the word that there is none.

    `settled` tells whether it is known if workers can be forked; `fit` whether they can, `why` why not.
    """

    def __init__(
        self, preload: ForkServerConfig | None = None, env: Mapping[str, str] | None = None, patience: float = 0.0
    ):
        self.env = dict(os.environ if env is None else env)
        self.settled = self.fit = False
        self.why = ""
        self._deadline = time.monotonic() + patience
        self._process: subprocess.Popen[bytes] | None = None
        if preload is None or os.environ.get(OFF) or not _adopts_orphans():
            self._give_up("not asked for, or not possible here")
            return
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
        words = [sys.executable, "-P", "-m", "batchtwin_node.forkserver", str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                words,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        os.close(out)
        os.close(err)
        self._control.settimeout(FORK_SECONDS)
        with contextlib.suppress(OSError):  # its death is heard
            self._control.send(preload.model_dump_json().encode())

    @property
    def fd(self) -> int | None:
        """What becomes readable when it is settled; None if it is."""
        return None if self.settled else self._control.fileno()

    def look(self) -> bool:
        """Hear what the template has to say, if it has said it; return `settled`."""
        if not self.settled:
            if select.select([self._control], [], [], 0)[0]:
                verdict = self._hear()
                self.settled = self.fit = verdict == "ready"
                if not self.fit:
                    self._give_up(verdict or "it died")
            elif time.monotonic() > self._deadline:
                self._give_up("it took too long")
        return self.settled

    def _hear(self) -> str:
        try:
            return self._control.recv(1 << 12).decode()
        except OSError:  # it died before it had read what was sent
            return ""

    def fork(self, request: ForkRequest, descriptors: Sequence[int]) -> Forked | None:
        """Fork a worker that takes over task pipe, event pipe, stdout and stderr; None if the template cannot."""
        if not self.fit:
            return None
        try:
            socket.send_fds(self._control, [request.model_dump_json().encode()], list(descriptors))
            pid = int(self._hear() or 0)
        except (OSError, ValueError):
            pid = 0
        if not pid:
            self._give_up("it died, or cannot fork")
            return None
        return Forked(pid)

    def _give_up(self, why: str) -> None:
        self.settled, self.fit, self.why = True, False, why
        self.close()

    def close(self) -> None:
        """End it; workers that were forked from it live on."""
        if self._process is not None:
            self._control.close()
            if not self.fit:
                self._process.kill()
            self._process.wait()
            self._process = None
        self.settled, self.fit = True, False


def _adopts_orphans() -> bool:
    """Become the parent of grandchildren whose own parent ends; only Linux can."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
