"""What a preload depended on: the files that it read, and what of it cannot be shared by jobs.

A file is known by device, inode, size and time of its last change. Python's own audit events tell which files were
opened; the modules that are loaded, the libraries that are mapped and the folders that are searched complete the list.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any, Optional, Tuple

from batchtwin_node.children import open_descriptors

Stamp = Optional[Tuple[int, int, int, int]]
# These show the state of the machine, not files.
LEFT_OUT = ("/proc/", "/sys/", "/dev/", "/memfd:")
# A clock of a file system may be behind by so much.
SLACK_NS = 20_000_000


def stamp(path: str) -> Stamp:
    """Return what a file is known by; None if it is not there."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return None
    size = 0 if stat.S_ISDIR(about.st_mode) else about.st_size
    return about.st_dev, about.st_ino, size, about.st_mtime_ns


class Dependencies:
    """Notes what is read from now on, until `close`; and again after `go_on` or `reopen`.

    `stayed` are the processes that stay already.
    """

    def __init__(self) -> None:
        self._since = time.time_ns()
        self._is_noting = True
        self._opened: set[str] = set()
        self._temporary: list[str] = []
        self._obstacle = ""
        self.stayed: set[int] = set()
        self._stamps: list[tuple[str, Stamp]] = []
        self._open_before = open_descriptors()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if self._is_noting:
                self._note_opened(*arguments)
        elif event == "socket.connect":
            if self._is_noting:
                self._obstacle = "it opened a connection"
        elif event in ("tempfile.mkdtemp", "tempfile.mkstemp") and self._is_noting:
            self._temporary.append(os.path.abspath(os.fsdecode(arguments[0])))

    def _note_opened(self, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, (str, bytes)) and not flags & (os.O_WRONLY | os.O_RDWR):
            text = os.fsdecode(path)
            # The text that bytecode was made from is what counts; Python looks at it itself.
            if not (text.endswith(".pyc") and "__pycache__" in text):
                self._opened.add(os.path.abspath(text))

    def go_on(self) -> None:
        """Note again after `close`, in the same process."""
        self._is_noting = True

    def reopen(self) -> None:
        """Note again, in a process that was forked from one whose files are settled."""
        self._since = time.time_ns()
        self._open_before = open_descriptors()
        self.go_on()

    def close(self) -> str:
        """Note nothing more for now; return why no later job may use this process, as far as that is known."""
        self._is_noting = False
        return self._obstacle or _children(self.stayed)

    def settle(self, model: str | None, code: str | None) -> str:
        """Take the stamps of all files; return why no later job may use this process, or nothing.

        Of the `code` folder only the text was looked at, for its imports; each job has that looked at again.
        """
        if code is not None:
            self._opened = {path for path in self._opened if not path.startswith(os.path.join(code, ""))}
        paths = {*self._opened, *_of_modules(), *_of_libraries(), *_of_python(), *_of_folder(model)}
        before = dict(self._stamps)
        self._stamps = [(path, stamp(path)) for path in sorted(paths) if not path.startswith(LEFT_OUT)]
        for path, known in self._stamps:
            if before.get(path, known) != known:
                return f"{path} has changed"
            if known and known[3] > self._since - SLACK_NS and not os.path.isdir(path):
                return f"{path} changed meanwhile"
        left = [path for path in self._temporary if os.path.lexists(path)]
        if left:
            return f"it left a temporary file: {left[0]}"
        return self._open_obstacle()

    def _open_obstacle(self) -> str:
        """Say what is open that jobs would share: a connection, or a file that is read from its place."""
        for descriptor in open_descriptors() - self._open_before:
            if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
                return f"it left {os.readlink(f'/proc/self/fd/{descriptor}')} open"
        return ""

    def changed(self) -> str:
        """Return the first file that is not what it was; nothing if all are."""
        return next((path for path, known in self._stamps if stamp(path) != known), "")


def _of_modules() -> Iterator[str]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            yield os.path.abspath(file)
        try:
            folders = list(getattr(module, "__path__", None) or ())
        except Exception:  # noqa: S112 - a module may make anything of it
            continue
        yield from (os.path.abspath(folder) for folder in folders if isinstance(folder, str))


def _of_libraries() -> Iterator[str]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            path = line.rstrip("\n").split(None, 5)[5:]
            if path and path[0].startswith("/"):
                yield path[0]


def _of_python() -> Iterator[str]:
    yield sys.executable
    yield os.path.join(sys.prefix, "pyvenv.cfg")
    for folder in sys.path:
        path = os.path.abspath(folder)
        yield path
        try:
            yield from (os.path.join(path, name) for name in os.listdir(path) if name.endswith(".pth"))
        except OSError:  # an archive, or not there
            continue


def _of_folder(folder: str | None) -> Iterator[str]:
    if folder is not None:
        for root, _, files in os.walk(os.path.abspath(folder), followlinks=True):
            yield root
            yield from (os.path.join(root, name) for name in files)


def _children(known: set[int]) -> str:
    """Say if a process was started that still runs, other than those that are `known`."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as stream:
            return "it started a process" if set(map(int, stream.read().split())) - known else ""
    except OSError:  # a kernel without this file
        return ""
