"""The template process: imports what workers need, once, loads the driver's model, and forks workers on demand.

Started as `python -m batchtwin_node.forkserver CONTROL PARENT`. On the socket CONTROL it gets a Preload and answers
with one line, `ready` or why it must not be forked; then for each Birth, which brings the worker's task pipe, event
pipe, stdout and stderr, it answers with a pid. Linux only.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from batchtwin_node import worker
from batchtwin_node.driver.skops_startup import import_skops
from batchtwin_node.protocol import ForkRequest, ForkServerConfig
from batchtwin_node.script.imports import imported_by

DRIVER = "batchtwin_node.driver.mlflow_driver"
MESSAGE = 1 << 17
# Threads of libraries that stop and start them around a fork by themselves (jemalloc, in pyarrow).
MIND_THE_FORK = frozenset({"jemalloc_bg_thd"})


def preload(asked: ForkServerConfig) -> str:
    """Import, and load; return `ready`, or why this process must not be forked."""
    try:
        if asked.script is None:
            _import_skops(asked, ["mlflow"])
            driver = import_module(DRIVER)
            if asked.model is not None:
                driver.preload(asked.model)
        else:
            names = imported_by(Path(asked.script[0]), asked.script[1])
            _import_skops(asked, names)
            for name in names:
                import_module(name)
    except BaseException as error:  # the worker will meet it too, and has the words for it
        return f"an import or the model's loading failed: {type(error).__name__}"
    found = _threads()
    return f"what was imported or loaded runs threads of its own: {', '.join(found)}" if found else "ready"


def _import_skops(asked: ForkServerConfig, names: Iterable[str]) -> None:
    """Import what MLflow will when it loads such a model.

    It comes first: to name NumPy's and SciPy's functions it looks for each in every module that is imported.
    """
    if asked.skops and any(name.partition(".")[0] == "mlflow" for name in names):
        with suppress(ImportError):
            import_skops()


def _threads() -> list[str]:
    """Name the threads that a fork would be without: their locks stay shut, OpenMP waits for its team."""
    names = [Path(f"/proc/self/task/{task}/comm").read_text().strip() for task in os.listdir("/proc/self/task")]
    names.remove(Path("/proc/self/comm").read_text().strip())
    return [name for name in names if name not in MIND_THE_FORK]


def fork(request: ForkRequest, tasks: int, events: int, out: int, err: int, control: socket.socket) -> int | None:
    """Fork a worker whose parent is ours, and return its pid; None in the worker itself."""
    read, write = os.pipe()
    middle = os.fork()
    if middle:
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            pid = int(answer.read() or 0)
        os.waitpid(middle, 0)  # from here on the worker is its grandparent's child
        return pid
    middle = os.getpid()
    pid = os.fork()
    if pid:
        os.write(write, str(pid).encode())
        os._exit(0)
    os.close(read)
    os.close(write)
    control.close()
    _become(request, out, err)
    deadline = time.monotonic() + 10
    while os.getppid() == middle and time.monotonic() < deadline:
        time.sleep(0.0005)
    return None


def _become(request: ForkRequest, out: int, err: int) -> None:
    """Have the worker's own streams, session, folder, variables, threads and random numbers."""
    for ours, theirs in ((1, out), (2, err)):
        said = os.dup(ours)
        os.dup2(theirs, ours)
        # What was said on import is said by every worker, as if each had imported by itself.
        with os.fdopen(said, "rb") as text:
            text.seek(0)
            os.write(ours, text.read())
        os.close(theirs)
    os.setsid()
    os.chdir(request.folder)
    os.environ.update(request.env)
    _set_threads(request.env)
    # Python's own generator seeds itself after a fork.
    if random := sys.modules.get("numpy.random"):
        random.seed()
    if torch := sys.modules.get("torch"):
        torch.seed()


def _set_threads(env: dict[str, str]) -> None:
    """Libraries that are loaded already have read these variables, and were told one thread."""
    asked = {"openmp": env.get("OMP_NUM_THREADS"), "blas": env.get("OPENBLAS_NUM_THREADS")}
    limits = {library: int(number) for library, number in asked.items() if number}
    if limits:
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits)


def leave(code: int) -> None:
    """End a forked worker as the interpreter would, without taking down every object that was imported."""
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


def serve(control: socket.socket) -> tuple[ForkRequest, int, int] | None:
    """Fork workers until the socket closes. In a worker, return what it was born with and its two pipes."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 4)
        if not data:
            return None
        request = ForkRequest.model_validate_json(data)
        tasks, events, out, err = descriptors
        sys.stdout.flush()
        sys.stderr.flush()
        pid = fork(request, tasks, events, out, err, control)
        if pid is None:
            return request, tasks, events
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(pid).encode())


def main(arguments: list[str]) -> None:
    """Preload, say so, and serve."""
    descriptor, parent = map(int, arguments)
    worker.die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as control:
        # Imports make many objects and hardly any garbage: looking for it costs a tenth of the time.
        gc.disable()
        verdict = preload(ForkServerConfig.model_validate_json(control.recv(MESSAGE)))
        gc.freeze()  # shared pages stay shared
        gc.enable()
        control.send(verdict.encode())
        fork_request = serve(control)
    if fork_request is None:
        os._exit(0)
    request, tasks, events = fork_request
    leave(worker.main([str(tasks), str(events), str(request.parent)]))


if __name__ == "__main__":
    main(sys.argv[1:])
