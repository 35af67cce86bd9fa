"""Files and folders at one moment, and whether they have changed since.

A file is known by device, inode, size, and the time of its last change. A file that is written in place and gets its
time back (`cp -p`, `rsync --inplace --times`) keeps all of them; but the kernel records the last change of its inode
(ctime), which nobody can set. A new ctime does not prove new content: every job makes hard links to its model's files,
and uv to the files of an environment. So a new ctime is a reason to look closer.

What shows the state of the machine is no file: devices, pipes, sockets, and what the kernel makes up (/proc, /sys).
These are recognised by what they are, not by their names.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

# File systems whose files are made up as they are read, by the kernel or by a program.
MADE_UP = frozenset(
    "proc sysfs cgroup cgroup2 devpts bpf binfmt_misc configfs debugfs efivarfs fusectl mqueue nsfs pstore rpc_pipefs"
    " securityfs selinuxfs tracefs fuse.lxcfs fuse.sysboxfs".split()
)


# How many bytes of a file are compared: all of a small one, pieces at equal distances of a large one.
MOST_BYTES, PIECE, SMALL = 1 << 26, 1 << 16, 1 << 20


class Stamp(NamedTuple):
    """One look at a file or folder: `changed` is its ctime, `links` the number of its names."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int
    links: int
    is_folder: bool


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


def _stamp(about: os.stat_result | None) -> Stamp | None:
    return about and Stamp(*_facts(about), about.st_nlink, stat.S_ISDIR(about.st_mode))


def _facts(about: os.stat_result) -> tuple[int, int, int, int, int]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def digest(path: str, step: int) -> bytes:
    """Return a hash of a file's content, at multiples of `step` and at the end; empty if it cannot be read."""
    total = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as stream:
            last = max(0, os.fstat(stream.fileno()).st_size - PIECE)
            for start in (*range(0, last, step), last):
                total.update(os.pread(stream.fileno(), PIECE, start))
    except OSError:
        return b""
    return total.digest()


class Files:
    """The state of these paths; one that leads nowhere has to lead nowhere later too.

    If the ctime of a file in `compared` has changed, its content is compared. For others a new ctime is a change,
    unless the number of links to the file has changed too.
    """

    def __init__(self, paths: Iterable[str], compared: Iterable[str] = ()) -> None:
        made_up = made_up_devices()
        compared = set(compared)
        self._known: dict[str, Stamp | None] = {}
        for path in sorted(compared.union(paths)):
            about = _look(path)
            kind = about and stat.S_IFMT(about.st_mode)
            if about is None or (kind in (stat.S_IFREG, stat.S_IFDIR) and about.st_dev not in made_up):
                self._known[path] = _stamp(about)
        files = {path: stamp for path, stamp in self._known.items() if stamp and not stamp.is_folder}
        contents = {stamp[:2]: (path, stamp.size) for path, stamp in files.items() if path in compared}
        large = sum(size for _, size in contents.values() if size > SMALL)
        self._step = PIECE * max(large, MOST_BYTES) // MOST_BYTES
        self._contents = {inode: self._digest(path, size) for inode, (path, size) in contents.items()}

    def _digest(self, path: str, size: int) -> bytes:
        return digest(path, self._step if size > SMALL else PIECE)

    def changed_since(self, moment: int) -> str:
        """Return the first file that had changed after a moment, in nanoseconds; empty if none had."""
        for path, stamp in self._known.items():
            if stamp and not stamp.is_folder:
                last = stamp.modified if stamp[:2] in self._contents else max(stamp.modified, stamp.changed)
                if last > moment:
                    return path
        return ""

    def changed(self) -> str:
        """Return the first file or folder that has changed; empty if none has."""
        for path, stamp in self._known.items():
            about = _look(path)
            if about is None or stamp is None:
                if about is not None or stamp is not None:
                    return path
            elif stamp[:5] != _facts(about):
                now = _stamp(about)
                if now is None or not self._is_same(path, stamp, now):
                    return path
                self._known[path] = now
        return ""

    def _is_same(self, path: str, before: Stamp, now: Stamp) -> bool:
        """Whether a file is the same although its ctime may have changed."""
        if before[:4] != now[:4] or before.is_folder or now.is_folder:
            return False
        content = self._contents.get(now[:2])
        if content is None:
            return now.links != before.links
        return content != b"" and content == self._digest(path, now.size)
