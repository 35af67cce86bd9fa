"""A process that has imported modules and forks one process for each command: fork_commands.py CONTROL [MODULE...].

A request on the socket CONTROL is a JSON object {program, words, cwd, env} with three descriptors: standard output,
standard error, and a socket for the answers, which are the command's pid and then its exit status as `os.waitpid`
returns it. The forked process runs the Python program, as the shell would. It inherits imports, nothing else.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from typing import Any

from batchtwin.subprocesses import collect_rarely

# What a command imports that is given such a URL; imported with the first of them.
DRIVERS = {"s3://": "s3fs", "gs://": "gcsfs"}
LARGEST = 1 << 20


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each request. Returns the request in the forked process, None at the end of the socket."""
    with selectors.DefaultSelector() as running:
        running.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in running.select():
                if key.fileobj is not control:
                    answer_status(running, key)
                    continue
                request, fds, _, _ = socket.recv_fds(control, LARGEST, 3)
                if not request:
                    return None
                command: dict[str, Any] = json.loads(request)
                import_drivers(command["words"])
                if fork(running, fds):
                    return command


def import_drivers(words: Iterable[str]) -> None:
    """Import what a command will import for the URLs in its words."""
    for word in words:
        for scheme, driver in DRIVERS.items():
            if word.startswith(scheme):
                importlib.import_module(driver)


def fork(running: selectors.BaseSelector, fds: list[int]) -> bool:
    """Fork; true in the new process, which has the standard output and error of the request."""
    out, err, answers = fds
    pid = os.fork()
    if pid:
        for fd in (out, err):
            os.close(fd)
        answer = socket.socket(fileno=answers)
        answer.send(str(pid).encode())
        running.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answer))
        return False
    os.dup2(out, 1)
    os.dup2(err, 2)
    for key in running.get_map().values():
        if key.data:
            os.close(key.fd)
            key.data[1].close()
    for fd in fds:
        os.close(fd)
    return True


def answer_status(running: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Send the status of a process that has ended."""
    pid, answer = key.data
    running.unregister(key.fd)
    os.close(key.fd)
    # Whoever gave up waiting for a command that took too long does not hear of its end.
    with answer, contextlib.suppress(BrokenPipeError):
        answer.send(str(os.waitpid(pid, 0)[1]).encode())


def main(control: int, modules: Iterable[str]) -> None:
    """Import, serve, and run the program in each process that is forked."""
    collect_rarely()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    # Ctrl-C is for the commands.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=control) as requests:
        request = serve(requests)
    if request is None:
        return
    signal.signal(signal.SIGINT, interrupt)
    os.chdir(request["cwd"])
    known = os.environ.get("PYTHONPATH", "")
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0] = os.path.dirname(request["program"])
    new = os.environ.get("PYTHONPATH", "").removesuffix(known)
    sys.path[1:1] = [place for place in new.split(os.pathsep) if place]
    sys.argv = [request["program"], *request["words"]]
    try:
        runpy.run_path(request["program"], run_name="__main__")
    except SystemExit as error:
        if error.code and not isinstance(error.code, int):
            raise
        end(error.code or 0)
    end(0)


def end(code: int) -> None:
    """End as Python does, but leave the imports where they are: to free them takes longer than most commands."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as a new process does
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # else Python says what it thinks of it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)
    sys.exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
