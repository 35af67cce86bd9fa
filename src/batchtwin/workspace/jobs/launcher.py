"""Processes of jobs, forked from a process with the imports of jobs: for a server, which starts many jobs.

`python -m batchtwin.workspace.jobs.launcher CONTROL BEGAN`, started by `JobLauncher`, is the fork server. On the socket
CONTROL it reports that it is ready; then it answers each request, which brings the job's lock and a text in a file in
memory, with a pid. It ends with the socket, or when a file that it has imported has changed. Linux only.

No job is lost, and none runs twice: if the fork server does not answer properly, it is killed, and the job gets a new
process. If the fork server had forked one after all, the first of both to claim the job runs it.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from batchtwin.engine.backends.warm import settings
from batchtwin.engine.backends.warm.key import inherited, matters
from batchtwin.subprocesses import module_command
from batchtwin.workspace.database.store import VARIABLE
from batchtwin.workspace.jobs import runner
from batchtwin.workspace.jobs.liveness import Process, launch
from batchtwin_node.warm import sockets
from batchtwin_node.warm.dependencies import SLACK_NS, of_modules, of_python
from batchtwin_node.warm.files import Files

# What most jobs import. MLflow is left out: it is large, and a job imports it only at its end.
IMPORTS = (
    "batchtwin.engine.backends.choice",
    "batchtwin.engine.backends.warm.client",
    "batchtwin.engine.new_job",
    "batchtwin.engine.prepare",
    "batchtwin.engine.report.write",
    "batchtwin.workspace.jobs.concurrency",
    "batchtwin.workspace.jobs.preview",
    "batchtwin.workspace.jobs.recorder",
    "batchtwin_node.script.azureml_core",
    "encodings.utf_8_sig",
    "jinja2",
    "sqlalchemy.dialects.sqlite",
)
READY, STALE = "ready", "stale"
log = logging.getLogger("batchtwin.serve")
# Seconds to wait for the imports of a new fork server, and for a job's process.
ANSWER_SECONDS = 5.0
# After so many failures in a row no fork server is started again.
MOST_FAILURES = 3
# The longest name of a process, in bytes.
NAME_BYTES = 15


@dataclass(frozen=True)
class StartRequest:
    """The job to start, and the whole environment of its process."""

    name: str
    folder: str
    environment: dict[str, str] = field(repr=False)


class JobLauncher:
    """Starts the process of a job as `launch` does: the first as a new process, later ones forked where possible.

    Threads may call it at the same time. `close` ends the fork server; jobs go on.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._server: JobForkServer | None = None
        self._failures = 0
        self._is_first = True
        self._is_closed = False

    def __call__(self, name: str, folder: Path, address: str, lock: int) -> Process:
        """Start the process of a job.

        Raises:
            StoreError: as in `launch`.
        """
        request = StartRequest(name, str(folder), {**os.environ, VARIABLE: address})
        with self._mutex:
            pid = self._fork(request, lock)
        return Process.of(pid) if pid else launch(name, folder, address, lock)

    def close(self) -> None:
        """End the fork server. Later jobs get new processes."""
        with self._mutex:
            self._is_closed = True
            self._drop()

    def _fork(self, request: StartRequest, lock: int) -> int:
        """Return the pid of the job's process; 0 if the job needs a new one."""
        is_first, self._is_first = self._is_first, False
        if is_first or self._is_closed or self._failures == MOST_FAILURES or not settings.is_possible():
            return 0
        try:
            pid = self._request(request, lock)
            if pid is None:
                self._drop()
                pid = self._request(request, lock)
        except (OSError, ValueError) as error:
            self._failures += 1
            if self._failures == MOST_FAILURES:
                log.warning("jobs get new processes from now on: forking failed %d times: %r", MOST_FAILURES, error)
            return self._drop(kill=True)
        except BaseException:
            self._drop(kill=True)
            raise
        if pid:
            self._failures = 0
        return pid or 0

    def _request(self, request: StartRequest, lock: int) -> int | None:
        if self._server is None:
            self._server = JobForkServer()
        return self._server.fork(request, lock)

    def _drop(self, *, kill: bool = False) -> int:
        server, self._server = self._server, None
        return server.end(kill=kill) if server is not None else 0


class JobForkServer:
    """A fork server with everything that this process would now pass on to its children."""

    def __init__(self) -> None:
        self._traits = traits()
        self._until = time.monotonic() + ANSWER_SECONDS
        self._is_ready = False
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with control:
            self._process = subprocess.Popen(  # noqa: S603 - this Python
                module_command("batchtwin.workspace.jobs.launcher", control.fileno(), time.time_ns()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[control.fileno()],
                start_new_session=True,
            )

    def fork(self, request: StartRequest, lock: int) -> int | None:
        """Fork the process of a job, and return its pid; None if files have changed, and it has ended.

        Return 0 if a new process would differ, or if the imports take long.

        Raises:
            OSError, ValueError: it does not answer properly.
        """
        if self._traits != traits() or not self._wait_until_ready():
            return 0
        text = os.memfd_create("request")
        try:
            with open(text, "wb", closefd=False) as stream:
                stream.write(json.dumps(asdict(request)).encode())
            self._control.settimeout(ANSWER_SECONDS)
            sockets.send(self._control, "fork", [lock, text])
        finally:
            os.close(text)
        answer = self._receive()
        return None if answer == STALE else int(answer)

    def _wait_until_ready(self) -> bool:
        if not self._is_ready:
            self._control.settimeout(max(0.001, self._until - time.monotonic()))
            try:
                answer = self._receive()
            except TimeoutError:
                return False
            if answer != READY:
                raise ValueError(answer)
            self._is_ready = True
        return True

    def _receive(self) -> str:
        return self._control.recv(100).decode()

    def end(self, *, kill: bool) -> int:
        """End it. Once killed it forks nothing and holds no lock. Return the pid of a late answer, or 0."""
        if kill or not self._is_ready:
            self._process.kill()
        else:
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._control.settimeout(0)
        try:
            return int(self._receive())
        except (OSError, ValueError):
            return 0
        finally:
            self._control.close()


def traits() -> object:
    """Return what a new process would inherit from this one, as far as its imports may depend on it."""
    variables = {name: value for name, value in os.environ.items() if matters(name)}
    folders = [os.path.abspath(folder) for folder in variables.get("PYTHONPATH", "").split(os.pathsep)]
    return variables, folders, inherited()


def serve(control: socket.socket, began: int) -> StartRequest | None:
    """Import, and fork a process for each request. Return its request in a forked process, None at the end."""
    gc.disable()  # imports make many objects and hardly any garbage
    for module in IMPORTS:
        importlib.import_module(module)
    files = Files({*of_modules(), *of_python()})
    if files.changed_since(began - SLACK_NS) or len(os.listdir("/proc/self/task")) > 1:
        return None
    gc.freeze()  # shared pages stay shared
    gc.enable()
    sockets.send(control, READY)
    while True:
        message, descriptors, _ = sockets.receive(control)
        if not message:
            return None
        if files.changed():
            sockets.send(control, STALE)
            return None
        request, pid = fork(*descriptors)
        if request is not None:
            return request
        for descriptor in descriptors:
            os.close(descriptor)
        sockets.send(control, pid)


def fork(lock: int, text: int) -> tuple[StartRequest | None, str]:
    """Fork the process of a job, which is no child of this one. Return its pid; in the new process, its request.

    It has a session of its own, and only the first three descriptors and `lock`. It reports its pid when nothing can
    fail any more.
    """
    request = StartRequest(**json.loads(os.pread(text, os.fstat(text).st_size, 0)))
    read, write = os.pipe()
    middle = os.fork()
    if middle:
        os.close(write)
        with open(read, "rb") as answer:
            pid = answer.read().decode()
        os.waitpid(middle, 0)
        return None, pid
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        become(request, {0, 1, 2, lock, write})
        os.write(write, str(os.getpid()).encode())
        os.close(write)
    except BaseException:
        os._exit(1)
    return request, ""


def become(request: StartRequest, kept: set[int]) -> None:
    """Take over the descriptors, environment, arguments, name, output and folder of a job's process."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with suppress(OSError):  # the descriptor that listed the folder
                os.close(int(name))
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv[:] = [runner.__file__, request.name, request.folder]
    # The command line stays the fork server's. `ps -o comm` shows the job.
    with suppress(OSError):
        Path("/proc/self/comm").write_bytes(f"job {request.name.removeprefix('batchjob-')}".encode()[:NAME_BYTES])
    runner.enter(Path(request.folder))


def main(control: int, began: int) -> None:
    """Run the fork server since `began`, in nanoseconds; and in each process that it forks, a job."""
    requests = socket.socket(fileno=control)
    request = serve(requests, began)
    requests.detach()  # a forked process has closed it already
    if request is not None:
        runner.main(request.name, Path(request.folder))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
