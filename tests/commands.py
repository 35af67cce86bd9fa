"""Commands and programs: a process for each, forked from one that has the imports where that is the same."""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

COMMAND = Path(sys.executable).with_name("batchtwin")
# What most `batchtwin` commands import when they run; the command line imports it late.
IMPORTS = (
    "batchtwin.api.jobs",
    "batchtwin.api.plans",
    "batchtwin.azure.cli.parser",
    "batchtwin.cli",
    "batchtwin.engine.new_job",
    "batchtwin.engine.preview",
    "batchtwin.engine.report.write",
    "batchtwin.engine.verify",
    "batchtwin.workspace.workspace",
    "jinja2",
)
# What programs import that make, load or look at models and runs.
MODEL_IMPORTS = (
    "IPython.display",
    "alembic.command",
    "batchtwin.workspace.workspace",
    "git",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.models.signature",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.tracking",
    "pandas",
    "skops.io",
    "sqlalchemy.dialects.sqlite",
    "xgboost",
)
# MLflow reads these when it is imported.
QUIET = {"GIT_PYTHON_REFRESH": "quiet", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)
# Bytes of an answer, at most.
ANSWER = 100
# Variables that Python reads before the first line of a program: a forked process cannot follow them.
EARLY = ("PYTHON", "LC_", "LANG", "LD_", "COV")
PATH = "PYTHONPATH"


def inherited(env: Mapping[str, str]) -> object:
    """What a process has from the one that started it; forked commands have it from the time of the first command."""
    limits = [
        resource.getrlimit(limit) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)
    ]
    early = sorted((name, value) for name, value in env.items() if name.startswith(EARLY) and name != PATH)
    return os.getresuid(), os.getresgid(), os.sched_getaffinity(0), limits, early


def places_of(env: Mapping[str, str]) -> list[str]:
    """The folders that Python searches first."""
    return [place for place in env.get(PATH, "").split(os.pathsep) if place]


def can_follow(places: Sequence[str], known: Sequence[str]) -> bool:
    """Whether a forked process can search `places`: they are `known`, after folders of modules that nobody has yet."""
    new = places[: len(places) - len(known)]
    if [*new, *known] != [*places] or not all(map(os.path.isabs, new)):
        return False
    names = {file.partition(".")[0] for place in new if os.path.isdir(place) for file in os.listdir(place)}
    return all(map(is_unknown, names - {"__pycache__"}))


def is_unknown(name: str) -> bool:
    """Whether no process can have imported a module of this name without those folders."""
    if not name.isidentifier():
        return True
    try:
        return name not in {"sitecustomize", "usercustomize"} and find_spec(name) is None
    except ValueError:  # of a module that was not found in the usual way
        return False


@dataclass
class CommandServer:
    """The process that forks commands and has these imports; it ends with this one."""

    imports: Sequence[str] = IMPORTS
    env: Mapping[str, str] = field(default_factory=dict)
    inherited: object = field(default_factory=lambda: inherited(os.environ))
    places: Sequence[str] = field(default_factory=lambda: places_of(os.environ))

    def __post_init__(self) -> None:
        # Packets, so that a request is one, with its descriptors.
        self.requests, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("fork_commands.py")
        with control:
            words = [sys.executable, str(script), str(control.fileno()), *self.imports]
            env = {**os.environ, **self.env}
            self.process = subprocess.Popen(words, pass_fds=[control.fileno()], stdin=subprocess.DEVNULL, env=env)

    def run(
        self,
        words: list[str],
        cwd: Path,
        env: Mapping[str, str],
        seconds: float,
        program: Path = COMMAND,
        on_start: Callable[[int], None] = lambda pid: None,
    ) -> tuple[int, str, str]:
        """Run a command, or another Python program; returns its exit code, standard output and standard error.

        `on_start` is called with the pid of the process while it runs.

        Raises:
            subprocess.TimeoutExpired: it did not end in time, and was killed.
        """
        request = json.dumps({"program": str(program), "words": words, "cwd": str(cwd), "env": dict(env)}).encode()
        pipes = [os.pipe(), os.pipe()]
        answers, answers_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with answers, open(pipes[0][0], "rb") as out, open(pipes[1][0], "rb") as err:
            with answers_end, open(pipes[0][1], "wb") as out_end, open(pipes[1][1], "wb") as err_end:
                fds = [out_end.fileno(), err_end.fileno(), answers_end.fileno()]
                with suppress(BrokenPipeError):  # then nobody answers
                    socket.send_fds(self.requests, [request], fds)
            pid = int(answers.recv(ANSWER) or 0)
            assert pid, "fork_commands.py has ended; its error is above"
            on_start(pid)
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
_model_servers: list[CommandServer] = []


def run(words: list[str], cwd: Path, env: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    """Run a command: forked if a new process would be like the forked one, else as a new process.

    Returns its exit code, standard output and standard error.
    """
    if not _servers:
        _servers.append(CommandServer())
    [server] = _servers
    if inherited(env) == server.inherited and can_follow(places_of(env), server.places):
        return server.run(words, cwd, env, seconds)
    command = [str(COMMAND), *words]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    return done.returncode, done.stdout, done.stderr


def run_program(
    program: Path,
    words: Sequence[str | Path],
    cwd: Path,
    seconds: float,
    on_start: Callable[[int], None] = lambda pid: None,
) -> tuple[int, str, str]:
    """Run a Python program in a process that has imported MLflow and the libraries of the heart model.

    Returns its exit code, standard output and standard error.
    """
    if not _model_servers:
        _model_servers.append(CommandServer(MODEL_IMPORTS, QUIET))
    [server] = _model_servers
    return server.run([*map(str, words)], cwd, {**os.environ, **QUIET}, seconds, program, on_start)


def run_code(code: str, words: Sequence[str | Path], cwd: Path, seconds: float) -> str:
    """Run Python code as `run_program` does; returns what it printed.

    Raises:
        AssertionError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.py"
        program.write_text(code)
        status, output, errors = run_program(program, words, cwd, seconds)
    assert status == 0, errors
    return output


def close() -> None:
    """End the processes that fork commands, if there are any."""
    for servers in (_servers, _model_servers):
        while servers:
            servers.pop().close()
