"""A node that a warm server forks: requested at once, waited for when the job needs it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from batchtwin.engine.backends.node_client import NodeClient, NodeLostError
from batchtwin.engine.backends.packages import copy_packages, have_packages, stamp_of_packages
from batchtwin.engine.backends.warm import settings
from batchtwin.engine.backends.warm.key import names_of
from batchtwin_node.codec import CodecError, any_from_json, to_json
from batchtwin_node.protocol import NodeInit
from batchtwin_node.warm import sockets
from batchtwin_node.warm.messages import FROM_SERVER, Ended, Keep, Refused, Started, StartJob

# A server that has not forked a node by then is killed.
ANSWER_SECONDS = 2.0


class NotWarmError(Exception):
    """No server gives a node; the text says why. The job starts its own."""


def keep_for(python: str, packages: str, env: Mapping[str, str], init: NodeInit) -> Keep:
    """Return how the fork server of a job is to stay.

    Raises:
        NotWarmError: it cannot: the folder of the sockets cannot be made, or other users have access to it.
        UsageError: a setting is invalid.
    """
    seconds, servers = settings.idle_seconds(), settings.servers()
    if not servers or not seconds or not settings.is_possible():
        raise NotWarmError("no server can stay on this system")
    folder = _made_folder()
    try:
        name, imports = names_of(python, packages, env, init)
    except OSError as error:
        raise NotWarmError(str(error)) from None
    config = init.preload
    title = Path(config.script[0], config.script[1]) if config and config.script else config and config.model
    return Keep(str(folder), name, imports, f"{title or 'no model'}, {python}", seconds, servers)


def _made_folder() -> Path:
    folder = settings.folder()
    try:
        os.close(sockets.open_private(str(folder), make=True))
    except OSError as error:
        raise NotWarmError(f"{error}; {settings.FOLDER} names another folder") from None
    return folder


def packages_folder() -> str:
    """Return the folder with the packages of nodes under other interpreters; it stays as long as servers may.

    Raises:
        NotWarmError: it cannot be made, or other users have access to it.
    """
    folder = _made_folder()
    try:
        target = folder / f"packages-{stamp_of_packages()}"
        if not have_packages(target):
            with tempfile.TemporaryDirectory(dir=folder, prefix=".packages-") as partial:
                packages = Path(partial) / "packages"
                copy_packages(packages)
                with suppress(OSError):  # files have been removed from it
                    target.rename(Path(partial) / "damaged")
                with suppress(OSError):  # another job was faster
                    packages.rename(target)
    except OSError as error:
        raise NotWarmError(str(error)) from None
    if not have_packages(target):
        raise NotWarmError(f"{target} cannot be made")
    return str(target)


class WarmProcess:
    """The process of a node that a server forks. Its `pid` is known once the server has answered."""

    def __init__(self, keep: Keep, env: Mapping[str, str], init: NodeInit) -> None:
        """Request the node.

        Raises:
            NotWarmError: there is no server.
        """
        self._keep = keep
        self._until = time.monotonic() + ANSWER_SECONDS
        self._pidfd = -1
        self._returncode: int | None = None
        self.pid = 0
        self._connection, self._name = _connected(keep)
        self.errors = os.memfd_create("errors")
        node_stdin, self.stdin = os.pipe()
        self.stdout, node_stdout = os.pipe()
        descriptors = [node_stdin, node_stdout]
        try:
            folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
            descriptors.append(folder)
            text = os.memfd_create("request")
            descriptors.append(text)
            os.write(text, to_json(_request(keep, env, init)).encode())
            sockets.send(self._connection, "start", [text, node_stdin, node_stdout, self.errors, folder])
        except OSError as error:
            self._close()
            raise NotWarmError(f"the server takes no job: {error.strerror}") from None
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _close(self) -> None:
        self._connection.close()
        for descriptor in (self.stdin, self.stdout, self.errors):
            os.close(descriptor)

    def wait_until_started(self) -> float:
        """Wait for the server's answer; return how many seconds are left for the node's.

        Raises:
            NotWarmError: the server refuses, or does not answer: then it is killed.
        """
        try:
            self._connection.settimeout(max(0.1, self._until - time.monotonic()))
            data, _, sender = sockets.receive(self._connection)
            message = any_from_json(FROM_SERVER, data) if data else None
            if isinstance(message, Refused):
                raise NotWarmError(f"the server that was here ends: {message.why}")
            if not isinstance(message, Started) or not sender:
                raise NotWarmError("the server that was here has ended")
            self._pidfd, self.pid = os.pidfd_open(sender), sender
        except (OSError, CodecError) as error:
            self.end_server()
            text = "does not answer" if isinstance(error, TimeoutError) else f"answers wrongly: {error}"
            raise NotWarmError(f"the server that was here {text}; it was killed") from None
        return max(0.1, self._until - time.monotonic())

    def end_server(self) -> None:
        """Kill a server. Nodes that it has forked live on."""
        with suppress(OSError):
            server, _ = sockets.peer(self._connection)
            os.kill(server, signal.SIGKILL)
        with suppress(OSError):
            Path(self._keep.folder, self._name).unlink()

    def poll(self) -> int | None:
        """Return None while the node lives, then its exit code, as its server reports it."""
        if self._returncode is None and (self._pidfd < 0 or select.select([self._pidfd], [], [], 0)[0]):
            self._returncode = self._code()
        return self._returncode

    def _code(self) -> int:
        with suppress(OSError, CodecError):
            self._connection.settimeout(ANSWER_SECONDS)
            data, _, _ = sockets.receive(self._connection)
            message = any_from_json(FROM_SERVER, data) if data else None
            if isinstance(message, Ended):
                return message.returncode
        return -signal.SIGKILL

    def wait(self, seconds: float) -> None:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it lives longer than that.
        """
        if self._pidfd >= 0 and not select.select([self._pidfd], [], [], seconds)[0]:
            raise subprocess.TimeoutExpired("node", seconds)

    def kill(self) -> None:
        """Kill the node, and wait for its end. Before its pid is known, its server kills it."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            select.select([self._pidfd], [], [])
            os.close(self._pidfd)
            self._pidfd = -1
        self._connection.close()


def _connected(keep: Keep) -> tuple[socket.socket, str]:
    """Return a connection to a server that has the model, else to one that has the imports; and its name."""
    try:
        folder = sockets.open_private(keep.folder)
    except OSError as error:
        raise NotWarmError(str(error)) from None
    reason = "no server has these packages, this model and these variables"
    try:
        for name in filter(None, (keep.name, keep.imports)):
            try:
                return sockets.connect(folder, name, ANSWER_SECONDS), name
            except FileNotFoundError:
                continue
            except OSError as error:
                reason = f"the server cannot be reached: {error.strerror or error}"
    finally:
        os.close(folder)
    raise NotWarmError(reason)


def _request(keep: Keep, env: Mapping[str, str], init: NodeInit) -> StartJob:
    config = init.preload
    return StartJob(
        dict(env), init.variables, config.script if config else None, config.model if config else None, keep
    )


def warm_client(keep: Keep, env: Mapping[str, str], init: NodeInit) -> NodeClient:
    """Return the client of a node that a server is about to fork.

    Raises:
        NotWarmError: there is no server.
    """
    return NodeClient(WarmProcess(keep, env, init), init)


def wait_for_node(node: NodeClient) -> None:
    """Wait for the node of a server.

    Raises:
        NotWarmError: it does not come, and is killed.
    """
    process = node.process
    if not isinstance(process, WarmProcess):
        return
    try:
        seconds = process.wait_until_started()
        try:
            node.wait_until_ready(seconds)
        except NodeLostError as error:
            process.end_server()
            raise NotWarmError(f"the server that was here gave no node: {error}; it was killed") from None
    except NotWarmError:
        node.kill()
        raise
