"""A command, run to its end as a whole process: wall seconds, CPU seconds and memory of all its processes.

On Linux the processes that it leaves behind become children of this one, so that their CPU seconds count as well.
They do not disturb the next run: it begins when they are gone.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

LIMIT = 900.0  # seconds; then a command has failed
GRACE = 5.0  # seconds for what a command leaves behind; then it is killed
PAUSE = 0.02  # seconds between two looks at what is left behind
LOOK_PAUSE = 0.1  # seconds between two looks at CPU time and memory, or more: looking takes a thirtieth of one core
PR_SET_CHILD_SUBREAPER = 36

# Nobody sends usage figures while being timed, and everybody may keep the bytecode that is compiled already.
ENVIRONMENT = {"DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
DROPPED = ("PYTHONDONTWRITEBYTECODE",)


class RunError(Exception):
    """A command ended with an error, or not in time."""

    def __init__(self, command: Sequence[str], code: int, log: str) -> None:
        super().__init__(f"{' '.join(command)}\nended with {code}; its last words:\n{log[-2000:]}")


@dataclass(frozen=True)
class Run:
    """One run: wall and CPU (user + system) seconds; the peak of its memory in bytes; what it printed."""

    wall: float
    cpu: float
    peak: int
    printed: str


class Watch:
    """Looks at the processes below this one, in a thread, until closed.

    CPU seconds that it sees count where the system's own count is smaller: a process that ignores the end of its
    children, as Ray's does, adds nothing of theirs to its own. Memory is the sum of all at one moment, with what is
    shared divided among those who share it (PSS; RSS where the system has no PSS).
    """

    def __init__(self) -> None:
        self.peak = 0
        self._seconds: dict[tuple[int, float], float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    @property
    def cpu(self) -> float:
        """What all processes have used; the last moments of each are missing."""
        return sum(self._seconds.values())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look_on(self) -> None:
        pause = LOOK_PAUSE
        while not self._done.wait(pause):
            began = time.perf_counter()
            self._look()
            pause = max(LOOK_PAUSE, 30 * (time.perf_counter() - began))

    def _look(self) -> None:
        memory = 0
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                times = process.cpu_times()
                self._seconds[process.pid, process.create_time()] = times.user + times.system
                memory += _footprint(process)
        self.peak = max(self.peak, memory)


def _footprint(process: psutil.Process) -> int:
    """Bytes of a process. The kernel adds up PSS by itself; psutil would read a line for each mapping."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup")
    if not rollup.exists():
        return int(process.memory_info().rss)
    [line] = (line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) << 10


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, stays_in: Path | None = None) -> Run:
    """Run a command to its end, in a folder of its own.

    With `stays_in`, a folder for several runs, what it leaves behind may stay for the next one: `bury(0)` ends it.

    Raises:
        RunError: its exit code is not 0, or it took longer than `LIMIT`.
    """
    _adopt()
    before = _children_cpu() + _standing_cpu()
    with _folder(stays_in) as folder, _file() as out, _file() as err:
        given = {**os.environ, **ENVIRONMENT, "TMPDIR": folder, "RAY_TMPDIR": folder, **(environment or {})}
        kept = {name: value for name, value in given.items() if name not in DROPPED}
        with Watch() as watch:
            began = time.perf_counter()
            process = subprocess.Popen(command, cwd=folder, env=kept, stdout=out, stderr=err)  # noqa: S603 - our own
            try:
                with _limited():
                    code = process.wait()
                wall = time.perf_counter() - began
            finally:
                if stays_in is None:
                    bury()
        if code:
            raise RunError(command, code, _text(out) + _text(err))
        cpu = _children_cpu() + _standing_cpu() - before
        return Run(wall, max(cpu, watch.cpu) if stays_in is None else cpu, watch.peak, _text(out))


@contextmanager
def _folder(given: Path | None) -> Iterator[str]:
    if given is not None:
        yield str(given)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield folder


def _standing_cpu() -> float:
    """What the processes used that are there now, and the children whose end they saw."""
    seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:4])
    return seconds


def _file() -> IO[bytes]:
    """A file, not a pipe: a process that is left behind may keep it open, and nobody waits for its end."""
    return tempfile.TemporaryFile()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def bury(grace: float = GRACE) -> None:
    """Wait until no process that a command left behind is there; kill those that stay longer than `grace` seconds."""
    deadline = time.monotonic() + grace
    while psutil.Process().children():
        if time.monotonic() > deadline:
            _kill_all()
        _reap()
        time.sleep(PAUSE)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _kill_all() -> None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@contextmanager
def _limited() -> Iterator[None]:
    """Kill every process below this one when the time is up."""
    timer = threading.Timer(LIMIT, _kill_all)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _adopt() -> None:
    """Become the parent of all orphans below. Elsewhere than on Linux they go to process 1, uncounted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def beside_python(name: str) -> str:
    """Return the path of a command of this environment."""
    return str(Path(sys.executable).with_name(name))
