"""The process of a node, as its client sees it."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol


class NodeProcess(Protocol):
    """The process of a node, with the descriptors of its pipes and of the file of its standard error."""

    stdin: int
    stdout: int
    errors: int

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """Return None while it lives, then its exit code; negative for the signal that ended it."""

    def wait(self, seconds: float) -> None:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it lives longer than that.
        """

    def kill(self) -> None:
        """Kill it, and wait for its end."""


class StartedProcess:
    """A process that `command` starts with the variables `env`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        local, remote = [-1, -1], [-1, -1]
        remote[0], local[0] = os.pipe()
        local[1], remote[1] = os.pipe()
        self.stdin, self.stdout = local
        with tempfile.TemporaryFile() as errors:
            self.errors = os.dup(errors.fileno())
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, env=dict(env), stdin=remote[0], stdout=remote[1], stderr=self.errors, start_new_session=True
            )
        except OSError:
            for descriptor in (*local, self.errors):
                os.close(descriptor)
            raise
        finally:
            for descriptor in remote:
                os.close(descriptor)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return None while it lives, then its exit code."""
        return self._process.poll()

    def wait(self, seconds: float) -> None:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it lives longer than that.
        """
        until = time.monotonic() + seconds
        with suppress(AttributeError, OSError):  # without pidfd, `subprocess` polls
            descriptor = os.pidfd_open(self.pid)
            try:
                ended = select.poll()  # `select` takes no descriptor above 1023
                ended.register(descriptor, select.POLLIN)
                ended.poll(seconds * 1000)
            finally:
                os.close(descriptor)
        self._process.wait(max(0.0, until - time.monotonic()))

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self._process.kill()
        self._process.wait()
