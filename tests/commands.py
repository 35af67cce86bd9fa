"""`batchtwin` commands: a process for each, forked from one that has imported the package where that is the same."""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

COMMAND = Path(sys.executable).with_name("batchtwin")
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)
# Bytes of an answer, at most.
ANSWER = 100
# Variables that Python reads before the first line of a program: a forked process cannot follow them.
EARLY = ("PYTHON", "LC_", "LANG", "LD_", "COV")


def inherited(env: Mapping[str, str]) -> object:
    """What a process has from the one that started it; forked commands have it from the time of the first command."""
    limits = [
        resource.getrlimit(limit) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)
    ]
    early = sorted((name, value) for name, value in env.items() if name.startswith(EARLY))
    return os.getresuid(), os.getresgid(), os.sched_getaffinity(0), limits, early


@dataclass
class CommandServer:
    """The process that forks commands; it ends with this one."""

    inherited: object = field(default_factory=lambda: inherited(os.environ))

    def __post_init__(self) -> None:
        # Packets, so that a request is one, with its descriptors.
        self.requests, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("fork_commands.py")
        with control:
            words = [sys.executable, str(script), str(control.fileno()), str(COMMAND)]
            self.process = subprocess.Popen(words, pass_fds=[control.fileno()], stdin=subprocess.DEVNULL)

    def run(self, words: list[str], cwd: Path, env: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
        """Run a command; returns its exit code, standard output and standard error.

        Raises:
            subprocess.TimeoutExpired: it did not end in time, and was killed.
        """
        request = json.dumps({"words": words, "cwd": str(cwd), "env": dict(env)}).encode()
        pipes = [os.pipe(), os.pipe()]
        answers, answers_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with answers, open(pipes[0][0], "rb") as out, open(pipes[1][0], "rb") as err:
            with answers_end, open(pipes[0][1], "wb") as out_end, open(pipes[1][1], "wb") as err_end:
                fds = [out_end.fileno(), err_end.fileno(), answers_end.fileno()]
                with suppress(BrokenPipeError):  # then nobody answers
                    socket.send_fds(self.requests, [request], fds)
            pid = int(answers.recv(ANSWER) or 0)
            assert pid, "fork_commands.py has ended; its error is above"
            try:
                output, errors = read_all([out, err], seconds)
            except TimeoutError as error:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, seconds) from error
            return os.waitstatus_to_exitcode(int(answers.recv(ANSWER))), output, errors

    def close(self) -> None:
        """End the server."""
        self.requests.close()
        self.process.wait()


def read_all(streams: Sequence[BinaryIO], seconds: float) -> list[str]:
    """Read streams to their ends.

    Raises:
        TimeoutError: they did not end in time.
    """
    data = {stream.fileno(): b"" for stream in streams}
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for fd in data:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                data[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    return [text.decode().replace("\r\n", "\n").replace("\r", "\n") for text in data.values()]


_servers: list[CommandServer] = []


def run(words: list[str], cwd: Path, env: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    """Run a command: forked if a new process would be like the forked one, else as a new process.

    Returns its exit code, standard output and standard error.
    """
    if not _servers:
        _servers.append(CommandServer())
    [server] = _servers
    if inherited(env) == server.inherited:
        return server.run(words, cwd, env, seconds)
    command = [str(COMMAND), *words]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    return done.returncode, done.stdout, done.stderr


def close() -> None:
    """End the process that forks commands, if there is one."""
    while _servers:
        _servers.pop().close()
