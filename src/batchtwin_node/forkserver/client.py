"""The fork server seen from its node: it starts early, and forks workers once it is ready.

Forked workers have nothing to import, and share what it has loaded. They become children of the node, not of the fork
server, so that the node waits for them, watches and kills them like workers that start alone.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence

from batchtwin_node.bootstrap import command
from batchtwin_node.children import Child, adopt_orphans
from batchtwin_node.codec import to_json
from batchtwin_node.protocol import ForkRequest, ForkServerConfig

FORK_SECONDS = 30.0
# In the environment of `batchtwin`: start each worker as a process of its own.
OFF = "BATCHTWIN_NO_FORK"


class ForkServer:
    """A fork server; or the reason why there can be none.

    `settled`: it is known whether workers can be forked; `is_ready`: they can; `why`: why they cannot. `seconds` is how
    long its imports may take.
    """

    def __init__(
        self,
        config: ForkServerConfig | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.env: dict[str, str] = dict(os.environ if env is None else env)
        self.settled = self.is_ready = False
        self.why = ""
        self._deadline = time.monotonic() + seconds
        self._process: Child | None = None
        self.is_warm = False
        if config is None or os.environ.get(OFF) or not adopt_orphans():
            self._give_up("not requested, or not possible here")
            return
        self._control, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
        with remote:
            process = subprocess.Popen(
                command("forkserver.server", remote.fileno(), os.getpid()),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[remote.fileno()],
                start_new_session=True,
            )
        self._process = Child(process.pid, process)
        os.close(out)
        os.close(err)
        self._control.settimeout(FORK_SECONDS)
        try:
            self._control.send(to_json(config).encode())
        except OSError:  # it has died; `look` notices that
            pass

    @classmethod
    def adopt(cls, process: Child, control: socket.socket, env: Mapping[str, str], seconds: float) -> ForkServer:
        """Return a fork server that runs already: a child of this process, which answers on `control`."""
        server = cls(env=env, seconds=seconds)
        server.settled, server.why, server.is_warm = False, "", True
        server._process, server._control = process, control
        control.settimeout(FORK_SECONDS)
        return server

    @property
    def fd(self) -> int | None:
        """The descriptor that becomes readable when the answer comes; None once it has."""
        return None if self.settled else self._control.fileno()

    def look(self) -> bool:
        """Read the fork server's answer, if it has come; return `settled`."""
        if not self.settled:
            if select.select([self._control], [], [], 0)[0]:
                verdict = self._receive()
                self.settled = self.is_ready = verdict == "ready"
                if not self.is_ready:
                    self._give_up(verdict or "it died")
            elif time.monotonic() > self._deadline:
                self._give_up("it took too long")
        return self.settled

    def _receive(self) -> str:
        try:
            return self._control.recv(1 << 12).decode()
        except OSError:  # it died before it had read the request
            return ""

    def fork(self, request: ForkRequest, descriptors: Sequence[int]) -> Child | None:
        """Fork a worker that takes over task pipe, event pipe, stdout and stderr; return None if that is impossible."""
        if not self.is_ready:
            return None
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        try:
            self._control.sendmsg([to_json(request).encode()], [rights])
            pid = int(self._receive() or 0)
        except (OSError, ValueError):
            pid = 0
        if not pid:
            self._give_up("it died, or cannot fork")
            return None
        return Child(pid)

    def _give_up(self, reason: str) -> None:
        self.settled, self.is_ready, self.why = True, False, reason
        self.close()

    def request_end(self) -> None:
        """Ask it to end, without waiting; workers that it forked live on. `close` follows."""
        if self._process is not None:
            self._control.close()

    def close(self) -> None:
        """End it; workers that it forked live on."""
        if self._process is not None:
            self.request_end()
            if not self.is_ready:
                self._process.kill()
            try:
                self._process.wait(FORK_SECONDS)
            except TimeoutError:
                self._process.kill()
            self._process = None
        self.settled, self.is_ready = True, False


def kill_group(child: Child) -> None:
    """Kill a worker and the processes of its group, and reap it."""
    alive = child.poll() is None
    try:
        # A worker that ended by itself may have left processes.
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    if alive:
        child.kill()  # a worker that was just forked has no group of its own yet
