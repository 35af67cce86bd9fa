"""What a warm server forks for a job: a node, and the node's fork server, with all imports done.

Both are the job's own: they have its folder, its environment and its streams, and nothing of another job.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NoReturn

from batchtwin_node.children import Child, die_with_parent, name_process, show_descriptors, supervise
from batchtwin_node.codec import to_json
from batchtwin_node.forkserver.client import ForkServer
from batchtwin_node.launcher import forkserver_environment
from batchtwin_node.node import run
from batchtwin_node.warm import sockets
from batchtwin_node.warm.messages import Started, StartJob
from batchtwin_node.warm.server import Inheritance


def become_node(
    job: StartJob, server: Inheritance, streams: Sequence[int], connection: socket.socket, alive: int
) -> NoReturn:
    """Run the node of a job to its end. `streams` are standard input, output and error, and the working folder.

    `alive` stays open as long as the node lives.
    """
    try:
        name_process(server.name)
        os.setsid()
        os.fchdir(streams[3])
        owned = [*streams[:3], connection.fileno()]
        _close_all_but({*server.known, *owned, alive})
        supervise(0, owned)  # if the server is killed, its jobs live on
        node_end, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        node = os.getpid()
        pid = os.fork()
        if not pid:
            _close_all_but({*server.known, server_end.fileno()})
            _become_fork_server(job, server, server_end, node)
        server_end.close()
        os.environ.clear()
        os.environ.update(job.env)
        for descriptor in (1, 2):
            os.dup2(streams[2], descriptor)
        connection.setblocking(True)
        sockets.send(connection, to_json(Started()))
        connection.close()
        run(streams[0], streams[1], lambda _, env, seconds: ForkServer.adopt(Child(pid), node_end, env, seconds))
    except BaseException:
        os._exit(1)
    os._exit(0)


def _become_fork_server(job: StartJob, server: Inheritance, control: socket.socket, node: int) -> NoReturn:
    """Run the fork server of the job, with its own output and environment."""
    from batchtwin_node.forkserver.server import begin

    show_descriptors()
    die_with_parent(node)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the node handles it
    for stream in (1, 2):
        printed = os.pread(stream, os.fstat(stream).st_size, 0)
        copy = os.memfd_create("printed")
        os.write(copy, printed)
        os.dup2(copy, stream)
        os.close(copy)
    env = forkserver_environment(job.env, job.variables)
    for name in server.base.keys() - env.keys():
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in env.items() if server.base.get(name) != value})
    if server.config.model == job.model:
        begin(control, replace(server.config, keep=None), env, server.dependencies)
    server.dependencies.reopen()
    begin(control, replace(server.config, model=job.model, keep=job.keep), env, server.dependencies)


def _close_all_but(descriptors: Iterable[int]) -> None:
    """Close descriptors of the server and of other jobs."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in descriptors:
            try:
                os.close(int(name))
            except OSError:  # the descriptor that listed the folder
                pass
