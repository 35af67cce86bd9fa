"""The fork server: the process that imports what workers need once, loads the driver's model, and forks workers.

Started with a socket, CONTROL, and the pid of its node. On the socket it gets a ForkServerConfig and answers with one
line, `ready` or why it must not be forked; then it answers each ForkRequest, which brings the worker's task pipe, event
pipe, stdout and stderr, with a pid. Linux only.
"""

from __future__ import annotations

import array
import atexit
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Tuple

from batchtwin_node import worker
from batchtwin_node.children import die_with_parent
from batchtwin_node.codec import from_json
from batchtwin_node.driver.skops_startup import import_skops
from batchtwin_node.protocol import ForkRequest, ForkServerConfig
from batchtwin_node.script.imports import imported_by

if TYPE_CHECKING:
    from batchtwin_node.warm.dependencies import Dependencies

DRIVER = "batchtwin_node.driver.mlflow_driver"
MESSAGE = 1 << 17
# Threads that a fork may lack: jemalloc (in pyarrow) stops and starts its own around it; that of Polars 2, which MLflow
# imports where it is installed, waits without a lock for files to delete. Names have 15 bytes.
FORK_SAFE_THREADS = frozenset({"jemalloc_bg_thd", "polars-ooc-clea"})
# The system still lists a joined thread for a moment: MLflow 2 looks for resources in one as it loads a model.
ENDING_SECONDS = 0.2
# A forked worker with its number, and the descriptors of its two pipes.
Forked = Tuple[ForkRequest, int, int]
READY = "ready"


def preload(config: ForkServerConfig) -> str:
    """Import; return `ready`, or why this process must not be forked."""
    try:
        if config.script is None:
            _import_skops(config, ["mlflow"])
            import_module(DRIVER).preload()
        else:
            names = imported_by(Path(config.script[0]), config.script[1])
            _import_skops(config, names)
            for name in names:
                import_module(name)
    except BaseException as error:  # the worker will fail on it too, and report it
        return f"an import or the model's loading failed: {type(error).__name__}"
    return _thread_verdict()


def load(config: ForkServerConfig) -> str:
    """Load the driver's model; return `ready`, or why this process must not be forked."""
    if config.script is not None or config.model is None:
        return READY
    try:
        import_module(DRIVER).load(config.model)
    except BaseException as error:  # the worker will fail on it too, and report it
        return f"an import or the model's loading failed: {type(error).__name__}"
    return _thread_verdict()


def _thread_verdict() -> str:
    threads = _threads()
    if threads:
        return f"an import or the model runs threads: {', '.join(threads)}"
    return READY


def _import_skops(config: ForkServerConfig, names: Iterable[str]) -> None:
    """Import what MLflow imports when it loads such a model.

    It comes first: to name NumPy's and SciPy's functions it searches every imported module.
    """
    if config.skops and any(name.partition(".")[0] == "mlflow" for name in names):
        try:
            import_skops()
        except ImportError:  # loading the model reports it
            pass


def _threads() -> list[str]:
    """Name the threads that a fork would lack: their locks would stay locked, and OpenMP would wait for its team."""
    deadline = time.monotonic() + ENDING_SECONDS
    names = _names_of_threads()
    while names and time.monotonic() < deadline:
        time.sleep(0.005)
        names = _names_of_threads()
    return names


def _names_of_threads() -> list[str]:
    names = []
    for task in os.listdir("/proc/self/task"):
        try:
            names.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
        except OSError:  # it has ended
            pass
    names.remove(Path("/proc/self/comm").read_text().strip())
    return [name for name in names if name not in FORK_SAFE_THREADS]


def _may_set_threads(env: Mapping[str, str]) -> bool:
    """Whether a forked worker can get its own number of threads: loaded libraries have read the variables already."""
    if find_spec("threadpoolctl") is not None or "numpy" not in sys.modules:
        return True
    return all(value == os.environ.get(name) for name, value in env.items() if name.endswith("_NUM_THREADS"))


def fork(request: ForkRequest, descriptors: tuple[int, int, int, int], control: socket.socket) -> int | None:
    """Fork a worker that becomes the node's child, and return its pid; return None in the worker itself."""
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
    _become(request, descriptors[2], descriptors[3])
    deadline = time.monotonic() + 10
    while os.getppid() == middle and time.monotonic() < deadline:
        time.sleep(0.0005)
    return None


def _become(request: ForkRequest, out: int, err: int) -> None:
    """Give the worker its own streams, session, folder, variables, threads and random numbers."""
    for stream, source in ((1, out), (2, err)):
        printed = os.dup(stream)
        os.dup2(source, stream)
        # Every worker prints what was printed on import, as if it had imported by itself.
        with os.fdopen(printed, "rb") as text:
            text.seek(0)
            os.write(stream, text.read())
        os.close(source)
    os.setsid()
    os.chdir(request.folder)
    os.environ.update(request.env)
    _set_threads(request.env)
    # Python's own generator seeds itself after a fork.
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()


def _set_threads(env: Mapping[str, str]) -> None:
    """Set the threads of libraries that are loaded already: they have read the variables, which said one thread."""
    variables = {"openmp": "OMP_NUM_THREADS", "blas": "OPENBLAS_NUM_THREADS"}
    limits: dict[str, int] = {library: int(env[name]) for library, name in variables.items() if env.get(name)}
    if limits and find_spec("threadpoolctl") is not None:
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits)


def exit_worker(code: int) -> NoReturn:
    """End a forked worker as the interpreter would, without freeing every imported object."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
    except BaseException:  # noqa: S110 - a thread of the script
        pass
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S110 - the script may have closed it
            pass
    os._exit(code)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """`socket.recv_fds`, which Python 3.8 lacks."""
    rights = array.array("i")
    data, ancillary, _, _ = control.recvmsg(MESSAGE, socket.CMSG_LEN(4 * rights.itemsize))
    for level, kind, descriptors in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            rights.frombytes(descriptors[: len(descriptors) - len(descriptors) % rights.itemsize])
    return data, list(rights)


def serve(control: socket.socket) -> Forked | None:
    """Fork workers until the socket closes. In a worker, return its request and its two pipes."""
    while True:
        data, descriptors = _receive(control)
        if not data:
            return None
        request = from_json(ForkRequest, data)
        tasks, events, out, err = descriptors
        sys.stdout.flush()
        sys.stderr.flush()
        pid: int | None = 0
        if _may_set_threads(request.env):
            pid = fork(request, (tasks, events, out, err), control)
        if pid is None:
            return request, tasks, events
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(pid).encode())


def serve_workers(control: socket.socket) -> NoReturn:
    """Fork workers until the socket closes, then end; in a worker, work, then end."""
    with control:
        forked = serve(control)
    if forked is None:
        os._exit(0)
    request, tasks, events = forked
    exit_worker(worker.main([str(tasks), str(events), str(request.parent)]))


def begin(
    control: socket.socket, config: ForkServerConfig, base: dict[str, str], warm: Dependencies | None = None
) -> NoReturn:
    """Import what is not imported yet, load the model, report, and serve. `base` is the environment of the imports.

    If the configuration says so, processes stay for later jobs: `warm` means that the imports are done.
    """
    dependencies = warm
    if config.keep is not None and warm is None:
        from batchtwin_node.warm.dependencies import Dependencies

        dependencies = Dependencies()
    # Imports make many objects and hardly any garbage: looking for it costs a tenth of the time.
    gc.disable()
    verdict = READY if warm is not None else preload(config)
    if verdict == READY and dependencies is not None and warm is None and config.keep and config.keep.imports:
        _stay(replace(config, model=None), dependencies, base, control)
        dependencies.go_on()
    if verdict == READY:
        verdict = load(config)
    gc.freeze()  # shared pages stay shared
    gc.enable()
    control.send(verdict.encode())
    if verdict == READY and dependencies is not None:
        _stay(config, dependencies, base, control)
    serve_workers(control)


def _stay(config: ForkServerConfig, dependencies: Dependencies, base: dict[str, str], control: socket.socket) -> None:
    from batchtwin_node.warm.server import stay

    stay(config, dependencies, base, control)


def main(arguments: list[str]) -> None:
    """Run the fork server of a node."""
    descriptor, parent = map(int, arguments)
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    begin(control, from_json(ForkServerConfig, control.recv(MESSAGE)), dict(os.environ))
