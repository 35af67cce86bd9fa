"""The node: a process that runs where the deployment's packages are, and supervises the workers of a job.

Started as `python -I -S -c BOOTSTRAP FOLDER batchtwin_node.node`. It reads the controller's messages from its standard
input and answers on its standard output, one JSON object per line. It moves both to other descriptors first, because
scripts write to 1 and 2. When its input closes, for whatever reason, it kills all workers and what they started, and
ends.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from typing import Any, Callable, Mapping, Optional

from batchtwin_node import protocol
from batchtwin_node.children import adopt_orphans, end_children, hide_descriptors, reap, supervise
from batchtwin_node.codec import any_from_json, to_json
from batchtwin_node.driver.prefetcher import Prefetcher
from batchtwin_node.forkserver.client import ForkServer
from batchtwin_node.launcher import Launcher, forkserver_environment, prefetch_folder
from batchtwin_node.lines import LineReader, LineWriter
from batchtwin_node.machine import cpus
from batchtwin_node.pool import WorkerPool, init_seconds
from batchtwin_node.usage import Sampler

# A task names its files, and there may be many.
LONGEST_MESSAGE = 1 << 30
IDLE_SECONDS = 5.0
# Makes the fork server: its configuration, the workers' common environment, and how long its imports may take.
MakeForkServer = Callable[[Optional[protocol.ForkServerConfig], Mapping[str, str], float], ForkServer]


class Node:
    """One node: `inbox` and `outbox` are descriptors, `machine` the environment variables of this machine."""

    def __init__(self, inbox: int, outbox: int, machine: dict[str, str], forkserver: MakeForkServer) -> None:
        self._machine = machine
        self._make_forkserver = forkserver
        self._reader = LineReader(inbox, LONGEST_MESSAGE)
        self._writer = LineWriter(outbox)
        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox, selectors.EVENT_READ, self._on_messages)
        self._waits_to_write = False
        self._forkserver: ForkServer | None = None
        self._pool: WorkerPool | None = None
        self._sampler = Sampler()
        self._is_closing = False
        self._failed = False

    def serve(self) -> None:
        """Work until the controller ends the job, or is gone."""
        while not self._is_closing and not self._reader.eof:
            self._select()
            reap()
            if self._pool is not None and not self._failed:
                self._attempt(self._step)
        self._close(in_order=self._is_closing)

    def _select(self) -> None:
        seconds = IDLE_SECONDS if self._pool is None else self._pool.patience
        if self._writer.is_waiting != self._waits_to_write:
            self._waits_to_write = self._writer.is_waiting
            if self._waits_to_write:
                self._selector.register(self._writer.fd, selectors.EVENT_WRITE, self._writer.flush)
            else:
                self._selector.unregister(self._writer.fd)
        for key, _ in self._selector.select(seconds):
            key.data()

    def _step(self) -> None:
        if self._pool is None:
            return
        for happened in self._pool.step():
            self._send(happened)
        usage = self._sampler.sample(self._pool.workers())
        if usage is not None:
            self._send(usage)

    def _attempt(self, action: Any) -> None:
        """Run an action; a full disk or the like fails the job, not an item."""
        try:
            action()
        except OSError as error:
            self._failed = True
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            self._send(protocol.Failure(worker="", kind="write", message=message, pid=os.getpid(), started=0.0))

    def _send(self, message: Any) -> None:
        self._writer.put(to_json(message))

    def _on_messages(self) -> None:
        for line in self._reader.read():
            self._handle(any_from_json(protocol.TO_NODE, line))

    def _handle(self, message: protocol.ToNode) -> None:
        if isinstance(message, protocol.Task):
            if self._pool is not None:
                self._pool.put(message)
        elif isinstance(message, protocol.NodeInit):
            self._init(message)
        elif isinstance(message, protocol.JobContext):
            self._attempt(lambda: self._begin(message))
        elif isinstance(message, protocol.Ping):
            self._send(protocol.Pong())
        else:
            self._is_closing = True

    def _init(self, message: protocol.NodeInit) -> None:
        major, minor, micro = sys.version_info[:3]
        self._send(protocol.NodeReady(message.nonce, protocol.VERSION, (major, minor, micro), os.getpid()))
        env = forkserver_environment(self._machine, message.variables)
        self._forkserver = self._make_forkserver(message.preload, env, init_seconds(message.timeout))

    def _begin(self, context: protocol.JobContext) -> None:
        forkserver = self._forkserver or ForkServer()
        # The nodes of a job on Ray share a folder, and no single one knows which files come first.
        prefetcher = None
        if context.node is None:
            prefetcher = Prefetcher(context.inputs, prefetch_folder(context), forkserver.env, cpus())
        launch = Launcher(context, self._machine, forkserver, lambda: self._pool.workers() if self._pool else {})
        self._pool = WorkerPool(context.workers, context.timeout, launch, forkserver, self._selector, prefetcher)

    def _close(self, in_order: bool) -> None:
        if self._forkserver is not None:
            self._forkserver.request_end()  # it ends while the workers end
        if self._pool is not None:
            self._pool.close(in_order)
        if self._forkserver is not None:
            self._forkserver.close()
        end_children()
        if in_order:
            self._send(protocol.Closed())
            os.set_blocking(self._writer.fd, True)
            self._writer.flush()


def main(arguments: list[str]) -> None:
    """Run the node; `arguments` holds the controller's pid, 0 where that is in another namespace."""
    hide_descriptors()
    parent = int(arguments[0]) if arguments else 0
    if parent:
        supervise(parent)
    inbox, outbox = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    os.dup2(2, 1)
    run(inbox, outbox)


def run(inbox: int, outbox: int, forkserver: MakeForkServer = ForkServer) -> None:
    """Be a node that talks through two descriptors, to the end of its job."""
    hide_descriptors()
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_blocking(inbox, False)
    os.set_blocking(outbox, False)
    Node(inbox, outbox, dict(os.environ), forkserver).serve()
