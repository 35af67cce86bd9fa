"""What a preload depended on: the files that it read, and what jobs cannot share.

Python's audit events show which files were opened and which folders were listed; loaded modules, mapped libraries and
the folders of the path complete the list.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from batchtwin_node.children import open_descriptors
from batchtwin_node.warm.files import Files

# The clock of a file system may be behind by so much.
SLACK_NS = 20_000_000
# How the kernel lists memory whose file was deleted, and memory that never had a file.
DELETED, NEVER_FILES = " (deleted)", ("/memfd:", "/anon_hugepage")


class Dependencies:
    """Records what is read, until `close`; and again after `go_on` or `reopen`.

    `stayed` are the processes that stay already.
    """

    def __init__(self) -> None:
        self._since = time.time_ns()
        self._is_noting = True
        self._opened: set[str] = set()
        self._temporary: list[str] = []
        self._obstacle = ""
        self.stayed: set[int] = set()
        self._files = Files(())
        self._open_before = open_descriptors()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if self._is_noting:
                self._note_opened(*arguments)
        elif event in ("os.listdir", "os.scandir", "sqlite3.connect"):
            if self._is_noting:
                self._note(arguments[0] or ".")
        elif event == "socket.connect":
            if self._is_noting:
                self._obstacle = "it opened a connection"
        elif event in ("tempfile.mkdtemp", "tempfile.mkstemp") and self._is_noting:
            self._temporary.append(os.path.abspath(os.fsdecode(arguments[0])))

    def _note_opened(self, path: Any, mode: Any, flags: int) -> None:
        is_made = flags & (os.O_TRUNC | os.O_EXCL) or flags & os.O_ACCMODE == os.O_WRONLY
        # The source of bytecode is what counts; Python compares the two itself.
        if not is_made and not (str(path).endswith(".pyc") and "__pycache__" in str(path)):
            self._note(path)

    def _note(self, path: Any) -> None:
        if isinstance(path, (str, bytes, os.PathLike)):
            text = os.path.abspath(os.fsdecode(path))
            # Links in there lead elsewhere for another process.
            self._opened.add(os.path.realpath(text) if text.startswith(("/proc/", "/dev/")) else text)

    def go_on(self) -> None:
        """Record again after `close`, in the same process."""
        self._is_noting = True

    def reopen(self) -> None:
        """Record again, in a fork of a process whose files were examined."""
        self._since = time.time_ns()
        self._open_before = open_descriptors()
        self.go_on()

    def close(self) -> str:
        """Stop recording; return why no later job may use this process, as far as that is known."""
        self._is_noting = False
        return self._obstacle or _children(self.stayed)

    def examine(self, model: str | None, code: str | None) -> str:
        """Look at all files; return why no later job may use this process; empty if one may.

        Only the text of the `code` folder was read, for its imports; each job has that compared again.
        """
        changed = self.changed()
        if changed:
            return f"{changed} has changed"
        if code is not None:
            folder = os.path.join(code, "")
            self._opened = {path for path in self._opened if not (path.startswith(folder) and path.endswith(".py"))}
        mapped = list(_mapped())
        paths = {*self._opened, *of_modules(), *of_python()}
        paths.update(mapping.path for mapping in mapped if mapping.path.startswith("/"))
        self._files = Files(paths, compared=_of_folder(model))
        changed = self._files.changed_since(self._since - SLACK_NS)
        if changed:
            return f"{changed} changed meanwhile"
        left = [path for path in self._temporary if os.path.lexists(path)]
        if left:
            return f"it left a temporary file: {left[0]}"
        return _memory_obstacle(mapped) or self._open_obstacle()

    def _open_obstacle(self) -> str:
        """Name an open descriptor that jobs would share: a connection, or a file with a position."""
        for descriptor in open_descriptors() - self._open_before:
            if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
                return f"it left {os.readlink(f'/proc/self/fd/{descriptor}')} open"
        return ""

    def changed(self) -> str:
        """Return the first file that has changed; empty if none has."""
        return self._files.changed()


class Mapping(NamedTuple):
    """A range of memory that stands for a file, or for a name in brackets; empty for none."""

    path: str
    rights: str


def of_modules() -> Iterator[str]:
    """Yield the files and folders of the loaded modules."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            yield os.path.abspath(file)
        try:
            folders = list(getattr(module, "__path__", None) or ())
        except Exception:  # noqa: S112 - a module may make anything of it
            continue
        yield from (os.path.abspath(folder) for folder in folders if isinstance(folder, str))


def _mapped() -> Iterator[Mapping]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.rstrip("\n").split(None, 5)
            yield Mapping("".join(fields[5:]).replace("\\012", "\n"), fields[1])


def _memory_obstacle(mapped: list[Mapping]) -> str:
    """Name memory that jobs would share, or whose file has changed."""
    for path, rights in mapped:
        if "w" in rights and "s" in rights:
            return f"it shares memory: {path or 'without a name'}"
        if path.startswith("/") and path.endswith(DELETED) and not os.path.lexists(path):
            name = path[: -len(DELETED)]
            if not name.startswith(NEVER_FILES):
                return f"{name} was removed or replaced"
    return ""


def of_python() -> Iterator[str]:
    """Yield the files of this Python, and the folders that it searches for modules."""
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


def _children(expected: set[int]) -> str:
    """Report a process that was started and still runs, other than those that are `expected`."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as stream:
            return "it started a process" if set(map(int, stream.read().split())) - expected else ""
    except OSError:  # a kernel without this file
        return ""
