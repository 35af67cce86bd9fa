"""A node seen from the controller: messages to it and from it, through the pipes of its process or its container."""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from batchtwin.engine.backends.node_process import NodeProcess
from batchtwin_node.codec import CodecError, any_from_json, to_json
from batchtwin_node.lines import LineReader, LineTooLongError, LineWriter
from batchtwin_node.protocol import (
    FROM_NODE,
    SHUTDOWN_SECONDS,
    VERSION,
    Closed,
    FromNode,
    NodeInit,
    NodeReady,
    Ping,
    Shutdown,
    ToNode,
)

# An event names the files of one mini-batch, and holds its texts.
LONGEST_MESSAGE = 1 << 28
# A node that is silent for so long gets a Ping; after as long again it counts as lost.
SILENT_SECONDS = 30.0
# Seconds to end beyond the end of the workers.
CLOSE_SECONDS = 5.0


class NodeLostError(Exception):
    """The node has ended, or sends what is no message."""


class NodeClient:
    """A node that runs as `process`; `init` is its first message."""

    def __init__(self, process: NodeProcess, init: NodeInit) -> None:
        self.process = process
        self._is_closed = False
        self._stdin, self._stdout = process.stdin, process.stdout
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        self._reader, self._writer = LineReader(self._stdout, LONGEST_MESSAGE), LineWriter(self._stdin)
        self._nonce = secrets.token_hex(16)
        self._is_pinged = False
        self._last_heard = time.monotonic()
        self.ready: NodeReady | None = None
        self.send(replace(init, nonce=self._nonce))

    def wait_until_ready(self, seconds: float) -> None:
        """Wait for the node's first line.

        Raises:
            NodeLostError: it has ended, or does not come within `seconds`.
        """
        until = time.monotonic() + seconds
        while self.ready is None:
            if time.monotonic() > until:
                raise NodeLostError(f"it has not answered within {seconds:g} seconds")
            self.receive(1.0)

    def send(self, message: ToNode) -> None:
        """Send a message. What the pipe does not take at once is sent later, by `receive`."""
        self._writer.put(to_json(message))

    def receive(self, timeout: float, also: Sequence[int] = ()) -> list[FromNode]:
        """Return the node's messages, waiting at most `timeout` seconds for one, or for a descriptor of `also`.

        Raises:
            NodeLostError: it has ended, is silent for too long, or sends what is no message.
        """
        writers = [self._stdin] if self._writer.is_waiting else []
        readable, writable, _ = select.select([self._stdout, *also], writers, [], timeout)
        if writable:
            self._writer.flush()
        messages: list[FromNode] = []
        if self._stdout in readable:
            self._last_heard, self._is_pinged = time.monotonic(), False
            try:
                for line in self._reader.read():
                    messages += self._understood(line)
            except (LineTooLongError, CodecError) as error:
                raise NodeLostError(f"it sent an invalid message: {error}") from None
            if self._reader.eof and not messages:
                raise NodeLostError(self.how_it_ended())
        self._ask_if_silent()
        return messages

    def _understood(self, line: bytes) -> list[FromNode]:
        if self.ready is not None:
            return [any_from_json(FROM_NODE, line)]
        with suppress(CodecError):  # an image may print something first
            message: Any = any_from_json(FROM_NODE, line)
            if isinstance(message, NodeReady) and message.nonce == self._nonce:
                if message.version != VERSION:
                    raise NodeLostError(f"it speaks version {message.version} of the protocol, not {VERSION}")
                self.ready = message
        return []

    def _ask_if_silent(self) -> None:
        silent = time.monotonic() - self._last_heard
        if silent > 2 * SILENT_SECONDS:
            raise NodeLostError(f"it has been silent for {2 * SILENT_SECONDS:g} seconds")
        if silent > SILENT_SECONDS and not self._is_pinged:
            self._is_pinged = True
            self.send(Ping())

    def how_it_ended(self) -> str:
        """Return how the process ended, with the end of what it wrote to stderr."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSE_SECONDS)
        size = os.fstat(self.process.errors).st_size
        tail = os.pread(self.process.errors, 4096, max(0, size - 4096)).decode("utf-8", "replace")
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        code = self.process.poll()
        ended = "it closed its pipe" if code is None else f"it exits with returncode {code}"
        return f"{ended}: {lines[-1]}" if lines else ended

    @property
    def returncode(self) -> int | None:
        """None while the process lives; negative for the signal that ended it."""
        return self.process.poll()

    @property
    def pid(self) -> int:
        """The process id of the node, or of the client of its container."""
        return self.process.pid

    def close(self) -> None:
        """End the workers in order, then the node. What does not end in time is killed. After `kill`: nothing."""
        if self._is_closed:
            return
        until = time.monotonic() + SHUTDOWN_SECONDS + CLOSE_SECONDS
        with suppress(NodeLostError):
            self.send(Shutdown())
            while (left := until - time.monotonic()) > 0:
                if any(isinstance(message, Closed) for message in self.receive(min(left, 1.0))):
                    break
        self._close_pipes()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the node; its workers die with it."""
        self._close_pipes()
        self.process.kill()
        if not self._is_closed:
            self._is_closed = True
            os.close(self.process.errors)

    def _close_pipes(self) -> None:
        for descriptor in (self._stdin, self._stdout):
            if descriptor >= 0:
                os.close(descriptor)
        self._stdin = self._stdout = -1
