"""Files and folders as they were at one moment, and whether they still are.

A file is known by device, inode, size and time of its last change. What shows the state of the machine is no file:
devices, pipes, sockets, and what the kernel makes up (/proc, /sys). That is told by what they are, not by their names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import NamedTuple, Optional

# File systems whose files the kernel, or a program in its place, makes up as they are read.
MADE_UP = frozenset(
    "proc sysfs cgroup cgroup2 devpts bpf binfmt_misc configfs debugfs efivarfs fusectl mqueue nsfs pstore rpc_pipefs"
    " securityfs selinuxfs tracefs fuse.lxcfs fuse.sysboxfs".split()
)


class Identity(NamedTuple):
    """What a file or folder is known by; the size of a folder is 0."""

    device: int
    inode: int
    size: int
    modified: int
    is_folder: bool


Stamp = Optional[Identity]


def made_up_devices() -> frozenset[int]:
    """Return the devices of the file systems whose files are made up as they are read."""
    devices = set()
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                mount, _, kind = line.partition(" - ")
                if kind.split(" ")[0] in MADE_UP:
                    devices.add(os.makedev(*map(int, mount.split(" ")[2].split(":"))))
    except OSError:  # no /proc
        pass
    return frozenset(devices)


def _look(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _stamp(about: os.stat_result | None) -> Stamp:
    if about is None:
        return None
    is_folder = stat.S_ISDIR(about.st_mode)
    return Identity(about.st_dev, about.st_ino, 0 if is_folder else about.st_size, about.st_mtime_ns, is_folder)


class Files:
    """What is known of these paths; one that leads nowhere has to lead nowhere later too."""

    def __init__(self, paths: Iterable[str]) -> None:
        made_up = made_up_devices()
        self._known: dict[str, Stamp] = {}
        for path in sorted(paths):
            about = _look(path)
            if about is None or (
                about.st_dev not in made_up and stat.S_IFMT(about.st_mode) in (stat.S_IFREG, stat.S_IFDIR)
            ):
                self._known[path] = _stamp(about)

    def changed_since(self, moment: int) -> str:
        """Return the first file that had changed after a moment, in nanoseconds; nothing if none had."""
        late = (
            path for path, known in self._known.items() if known and not known.is_folder and known.modified > moment
        )
        return next(late, "")

    def changed(self) -> str:
        """Return the first file or folder that is not what it was; nothing if all are."""
        return next((path for path, known in self._known.items() if _stamp(_look(path)) != known), "")
