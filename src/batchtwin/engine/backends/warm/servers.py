"""The warm servers of this user: list them, end them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from batchtwin.engine.backends.warm import settings
from batchtwin.errors import UsageError
from batchtwin_node.codec import CodecError, any_from_json, to_json, value_object
from batchtwin_node.warm import sockets
from batchtwin_node.warm.messages import FROM_SERVER, GetState, State, Stop

# A server that does not answer within so many seconds is left out of the list; `stop` kills it.
ANSWER_SECONDS = 2.0
END_SECONDS = 5.0


@value_object
class WarmServer:
    """A server that answers, by the name of its socket."""

    name: str
    state: State


def warm_servers() -> list[WarmServer]:
    """Return the servers that answer, the most recently used last.

    Raises:
        UsageError: other users have access to their folder, or it cannot be read.
    """
    with _folder() as folder:
        if folder is None:
            return []
        states = ((name, _state(folder, name)) for name in sockets.names(folder))
        return [WarmServer(name, state) for name, state in states if state is not None]


def stop_servers() -> int:
    """End all servers, each after its last job; return how many there were. One that does not answer is killed.

    Raises:
        UsageError: other users have access to their folder, or it cannot be read.
    """
    with _folder() as folder:
        if folder is None:
            return 0
        count = sum([_stop(folder, name) for name in sockets.names(folder)])
        for name in os.listdir(folder):
            if name.startswith("packages-"):  # a job that starts now makes it again
                shutil.rmtree(settings.folder() / name, ignore_errors=True)
        return count


@contextmanager
def _folder() -> Iterator[int | None]:
    try:
        folder = sockets.open_private(str(settings.folder()))
    except (FileNotFoundError, NotADirectoryError):  # a user without a home, for instance
        yield None
        return
    except OSError as error:
        raise UsageError(str(error)) from None
    try:
        yield folder
    finally:
        os.close(folder)


def _state(folder: int, name: str) -> State | None:
    with suppress(OSError, CodecError), sockets.connect(folder, name, ANSWER_SECONDS) as connection:
        sockets.send(connection, to_json(GetState()))
        message = any_from_json(FROM_SERVER, sockets.receive(connection)[0])
        return message if isinstance(message, State) else None
    return None


def _stop(folder: int, name: str) -> bool:
    """End one server; return whether there was one."""
    try:
        with sockets.connect(folder, name, ANSWER_SECONDS) as connection:
            sockets.send(connection, to_json(Stop()))
            pid, _ = sockets.peer(connection)
            try:
                sockets.receive(connection)  # it closes the connection at once
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
    except ConnectionRefusedError:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        return False
    except OSError:
        return False
    until = time.monotonic() + END_SECONDS
    while _is_there(folder, name) and time.monotonic() < until:
        time.sleep(0.01)
    return True


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True
