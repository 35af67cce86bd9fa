"""The private folder with the sockets of warm servers, and how both sides of a connection identify each other."""

from __future__ import annotations

import array
import os
import socket
import stat
import struct
from collections.abc import Sequence

from batchtwin_node.warm.messages import ENDING, PACKET

# pid, uid and gid, as the kernel has them.
CREDENTIALS = struct.Struct("3i")
MOST_DESCRIPTORS = 8


class NotPrivateError(OSError):
    """Other users have access to the folder."""


def open_private(folder: str, make: bool = False) -> int:
    """Return a descriptor of a folder that only this user can enter.

    Raises:
        NotPrivateError: it is another user's, or others may enter it.
        OSError: it is a link, is missing, or cannot be made.
    """
    if make:
        _make(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    about = os.fstat(descriptor)
    if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
        os.close(descriptor)
        raise NotPrivateError(f"{folder}: it belongs to another user, or others may enter it (mode 700 is needed)")
    return descriptor


def _make(folder: str) -> None:
    try:
        try:
            os.mkdir(folder, 0o700)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            os.mkdir(folder, 0o700)
    except FileExistsError:
        pass


def address(folder: int, name: str) -> str:
    """Return a short path of a socket in an open folder: a socket's path has at most 107 bytes."""
    return f"/proc/self/fd/{folder}/{name}"


def names(folder: int) -> list[str]:
    """Return the names of the sockets in a folder, the least recently used first."""
    used = []
    for name in os.listdir(folder):
        try:
            if name.endswith(ENDING):
                used.append((os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns, name))
        except OSError:  # its server has just ended
            pass
    return [name for _, name in sorted(used)]


def connect(folder: int, name: str, seconds: float) -> socket.socket:
    """Connect to a server of this user; later waits on the socket take at most `seconds`.

    Raises:
        OSError: no server listens there, or it is another user's.
    """
    about = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISSOCK(about.st_mode) or about.st_uid != os.geteuid():
        raise NotPrivateError(f"{name}: not a socket of this user")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(seconds)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        connection.connect(address(folder, name))
        if peer(connection)[1] != os.geteuid():
            raise NotPrivateError(f"{name}: another user listens there")
    except OSError:
        connection.close()
        raise
    return connection


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return pid and user of the process at the other end."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, _ = CREDENTIALS.unpack(data)
    return pid, uid


def send(connection: socket.socket, text: str, descriptors: Sequence[int] = ()) -> None:
    """Send one packet.

    Raises:
        OSError: the other side is gone, or takes nothing.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([text.encode()], rights)


def receive(connection: socket.socket) -> tuple[bytes, list[int], int]:
    """Return a packet, empty at the end, its descriptors, and the pid of its sender if the socket asks for that, or 0.

    Raises:
        OSError: nothing comes, or the other side is gone.
    """
    rights, sender = array.array("i"), 0
    room = socket.CMSG_SPACE(MOST_DESCRIPTORS * rights.itemsize) + socket.CMSG_SPACE(CREDENTIALS.size)
    data, ancillary, _, _ = connection.recvmsg(PACKET, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            rights.frombytes(content[: len(content) - len(content) % rights.itemsize])
        elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            sender = CREDENTIALS.unpack(content[: CREDENTIALS.size])[0]
    return data, list(rights), sender
