"""The warm server: a fork of a fork server with all imports done, which stays. For each job it forks a node.

It runs nothing of a job and keeps nothing of it: requests go to the process that it forks. No client can block it.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchtwin_node.children import STAYS, exit_code, hide_descriptors, name_process, open_descriptors
from batchtwin_node.codec import CodecError, any_from_json, to_json, value_object
from batchtwin_node.protocol import SHUTDOWN_SECONDS, ForkServerConfig
from batchtwin_node.script.imports import imported_by
from batchtwin_node.warm import sockets
from batchtwin_node.warm.dependencies import Dependencies
from batchtwin_node.warm.messages import TO_SERVER, Ended, GetState, Keep, Refused, StartJob, State, Stop

# A node whose controller is gone ends by itself; if it does not, it is killed after so many seconds.
ORPHAN_SECONDS = SHUTDOWN_SECONDS + 5.0
# How often the files are looked at while no job runs.
LOOK_SECONDS = 60.0
# Descriptors of a start: the text itself, standard input, output and error, and the working folder.
DESCRIPTORS = 5
LONGEST_START = 1 << 26
ANSWER_SECONDS = 1.0


def stay(config: ForkServerConfig, dependencies: Dependencies, base: dict[str, str], control: socket.socket) -> None:
    """Fork a process that stays as a warm server; `base` is the environment that this one was started with.

    It returns in the caller only, where recording has stopped; `control` is the caller's. An error in the other process
    ends only that one.
    """
    if dependencies.close() or config.keep is None:
        return
    keep = config.keep
    if config.model is None and keep.imports:
        keep = replace(keep, name=keep.imports, imports="", title=f"imports only, {keep.title.rpartition(', ')[2]}")
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
    except OSError:  # no process or memory is left: the job has to do without
        return
    if pid:
        dependencies.stayed.add(pid)
        return
    try:
        name = name_process(STAYS)
        control.close()
        gc.freeze()
        gc.enable()
        os.setsid()
        os.chdir("/")
        if not dependencies.examine(config.model, config.script and config.script[0]):
            hide_descriptors()
            Server(Inheritance(config, dependencies, base, open_descriptors(), name), keep).serve()
    except BaseException:  # noqa: S110 - later jobs start by themselves
        pass
    os._exit(0)


@value_object
class Inheritance:
    """What a server passes to the processes of its jobs: its imports, and their environment.

    `known` are the descriptors that imports left open, `name` is the name of a job's process.
    """

    config: ForkServerConfig
    dependencies: Dependencies
    base: dict[str, str]
    known: frozenset[int]
    name: str


class ForkedNode:
    """A node that was forked: its pid, the connection to its controller, and a pipe that ends with it."""

    def __init__(self, pid: int, alive: int, connection: socket.socket) -> None:
        self.pid, self.alive, self.connection = pid, alive, connection
        self.deadline = 0.0
        self.is_told = False


class Server:
    """Listens in the folder of `keep`. Its processes do not inherit its own descriptors."""

    def __init__(self, inheritance: Inheritance, keep: Keep) -> None:
        config, self._dependencies = inheritance.config, inheritance.dependencies
        self._inheritance, self._config, self._keep = inheritance, config, keep
        self._names = None if config.script is None else imported_by(Path(config.script[0]), config.script[1])
        self._folder = sockets.open_private(keep.folder)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._selector = selectors.DefaultSelector()
        self._jobs: dict[socket.socket, ForkedNode] = {}
        self._served = 0
        self._idle_since = self._last_look = time.monotonic()
        self._is_stopping = False

    def serve(self) -> None:
        """Serve until it is told to stop, is idle for too long, or is outdated."""
        self._listen()
        while self._jobs or not self._is_stopping:
            for key, _ in self._selector.select(self._patience()):
                key.data()
            self._look()
        self._withdraw()

    def _listen(self) -> None:
        """Replace a server of the same name, and stop those over the limit."""
        name = f".{os.getpid()}"
        self._listener.bind(sockets.address(self._folder, name))
        self._listener.listen(16)
        self._listener.setblocking(False)
        self._stop(self._keep.name)
        os.rename(name, self._keep.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._inode = os.stat(self._keep.name, dir_fd=self._folder).st_ino
        others = [other for other in sockets.names(self._folder) if other != self._keep.name]
        for other in others[: max(0, len(others) + 1 - self._keep.servers)]:
            self._stop(other)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _stop(self, name: str) -> None:
        """Stop another server; remove what a dead one left."""
        try:
            with sockets.connect(self._folder, name, ANSWER_SECONDS) as connection:
                sockets.send(connection, to_json(Stop()))
        except ConnectionRefusedError:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._folder)
        except OSError:
            pass

    def _withdraw(self) -> None:
        with suppress(OSError):
            if os.stat(self._keep.name, dir_fd=self._folder).st_ino == self._inode:
                os.unlink(self._keep.name, dir_fd=self._folder)

    def _retire(self) -> None:
        """Accept no more jobs; end with the last one."""
        if not self._is_stopping:
            self._is_stopping = True
            self._withdraw()
            self._selector.unregister(self._listener)
            self._listener.close()

    def _patience(self) -> float:
        return 1.0 if self._jobs else min(LOOK_SECONDS, max(0.0, self._left()))

    def _left(self) -> float:
        return self._idle_since + self._keep.seconds - time.monotonic()

    def _look(self) -> None:
        """Kill nodes that do not end by themselves; end this process if it is outdated."""
        now = time.monotonic()
        for job in self._jobs.values():
            if job.deadline and now > job.deadline:
                # The first kill is for its supervisor to kill the node; the second is for the node itself.
                os.kill(job.pid, signal.SIGKILL if job.is_told else signal.SIGTERM)
                job.is_told, job.deadline = True, now + SHUTDOWN_SECONDS
        if not self._jobs and not self._is_stopping:
            if self._left() <= 0:
                self._retire()
            elif now - self._last_look > LOOK_SECONDS:
                self._last_look = now
                if self._dependencies.changed():
                    self._retire()

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            if sockets.peer(connection)[1] != os.geteuid():
                connection.close()
                return
            self._selector.register(connection, selectors.EVENT_READ, lambda: self._on_packet(connection))

    def _on_packet(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            data, descriptors, _ = sockets.receive(connection)
            if not data or connection in self._jobs:
                self._forget(connection)
            else:
                self._handle(connection, any_from_json(TO_SERVER, _text(data, descriptors)), descriptors)
        except (OSError, CodecError):
            self._forget(connection)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _handle(self, connection: socket.socket, message: Any, descriptors: list[int]) -> None:
        if isinstance(message, StartJob) and len(descriptors) == DESCRIPTORS:
            reason = self._why_not(message)
            if reason:
                self._retire()
                sockets.send(connection, to_json(Refused(reason)))
            else:
                self._start(connection, message, descriptors)
        elif isinstance(message, GetState):
            sockets.send(connection, to_json(self._state()))
        elif isinstance(message, Stop):
            self._retire()
            self._forget(connection)

    def _why_not(self, job: StartJob) -> str:
        """Say what has changed since the imports."""
        if self._is_stopping:
            return "it is about to end"
        changed = self._dependencies.changed()
        if changed:
            return f"{changed} has changed"
        if self._config.model not in (None, job.model):
            return "it has another model"
        names = None if job.script is None else imported_by(Path(job.script[0]), job.script[1])
        return "" if names == self._names else "the script imports other modules"

    def _state(self) -> State:
        return State(
            title=self._keep.title,
            pid=os.getpid(),
            size=_share_of_memory(),
            jobs=len(self._jobs),
            served=self._served,
            idle=0.0 if self._jobs else time.monotonic() - self._idle_since,
            seconds=self._keep.seconds,
        )

    def _start(self, connection: socket.socket, job: StartJob, descriptors: list[int]) -> None:
        alive, end = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(alive)
            os.close(end)
            raise
        if not pid:
            from batchtwin_node.warm.handover import become_node

            become_node(job, self._inheritance, descriptors[1:], connection, end)
        os.close(end)
        self._served += 1
        self._jobs[connection] = ForkedNode(pid, alive, connection)
        self._selector.register(alive, selectors.EVENT_READ, lambda: self._on_end(connection))
        with suppress(OSError):
            os.utime(self._keep.name, dir_fd=self._folder)

    def _on_end(self, connection: socket.socket) -> None:
        """A node has ended."""
        job = self._jobs.pop(connection)
        self._selector.unregister(job.alive)
        os.close(job.alive)
        _, status = os.waitpid(job.pid, 0)
        with suppress(OSError):
            sockets.send(connection, to_json(Ended(exit_code(status))))
        self._forget(connection)
        self._idle_since = time.monotonic()

    def _forget(self, connection: socket.socket) -> None:
        """Close a connection; its node, if it has one, ends with it."""
        if connection.fileno() < 0:
            return
        if connection in self._jobs:
            self._jobs[connection].deadline = time.monotonic() + ORPHAN_SECONDS
            self._selector.unregister(connection)
            return
        with suppress(KeyError):
            self._selector.unregister(connection)
        connection.close()


def _text(data: bytes, descriptors: list[int]) -> bytes:
    """Return the text of a packet: if it has descriptors, the text is in the file of the first."""
    if not descriptors:
        return data
    size = os.fstat(descriptors[0]).st_size
    return os.pread(descriptors[0], min(size, LONGEST_START), 0)


def _share_of_memory() -> int:
    """Return this process's memory in bytes; shared memory is divided by its users."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
            sizes = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
        return sizes[0] * 1024
    except (OSError, IndexError, ValueError):
        return 0
