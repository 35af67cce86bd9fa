"""Copies of what users name: whole or absent, read-only, and known by their content.

Uploads in a datastore of the workspace are linked, not copied again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchtwin.inputs.plan import content_hash
from batchtwin.workspace.errors import InvalidError
from batchtwin_node.codec import value_object

STAGING = ".staging"
# The folder of the datastores. The blob service replaces files there and never changes one, so they can be linked.
DATASTORES = "datastores"
# The folder of the jobs.
JOBS = "jobs"
# Errors of `os.link` where files cannot be linked.
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@value_object
class Staged:
    """A finished copy in a folder of its own, ready to be moved to its place: `folder / name`."""

    folder: Path
    name: str
    content_hash: str

    def commit(self, target: Path) -> Path:
        """Move the folder to `target` and return the path of the copy; an existing folder at `target` is removed first.

        Such a folder is left by a command that was killed before it could write to the database.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        self.folder.rename(target)
        return target / self.name

    def commit_if_absent(self, target: Path) -> Path:
        """Move the folder to `target`, which is named by the content, unless it exists."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.folder.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        return next(target.iterdir())


def source_of(path: Path) -> Path:
    """Return the absolute path of a source; its last part is the name of the copy.

    Raises:
        InvalidError: no such path.
    """
    if not path.exists():
        raise InvalidError(f"{path}: no such file or folder")
    return path.resolve() if path.name in {"", ".", ".."} else path.absolute()


@contextmanager
def staged(root: Path, path: Path) -> Iterator[Staged]:
    """Copy a file or folder into the workspace at `root`, and remove the copy at the end unless it was committed.

    Links are followed. `__pycache__`, pipes, devices, broken links and the workspace itself are left out.

    Raises:
        InvalidError: it is missing or cannot be read.
    """
    source = source_of(path)
    folder = root / STAGING / uuid.uuid4().hex
    folder.mkdir(parents=True)
    copy = folder / source.name
    copy_file = _Copier((root / DATASTORES).resolve())
    try:
        if source.is_dir():
            shutil.copytree(source, copy, ignore=_Ignored(source, root), copy_function=copy_file)
        else:
            copy_file(str(source), str(copy))
        yield Staged(folder, source.name, content_hash(copy))
    except shutil.Error as error:
        name, _, reason = error.args[0][0]
        raise InvalidError(f"{name}: cannot be copied: {reason}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def upload(root: Path, path: Path) -> Path:
    """Keep a copy of local input, only once for the same content and name. Return its path.

    Raises:
        InvalidError: it is missing or cannot be read.
    """
    with staged(root, path) as copy:
        key = hashlib.sha256(f"{copy.name}\0{copy.content_hash}".encode(errors="surrogateescape")).hexdigest()
        return copy.commit_if_absent(root / "uploads" / key)


def unchanged(root: Path, path: Path, content: str) -> bool:
    """Whether `path` has this content, without copying it."""
    source = source_of(path)
    return source.resolve() not in (root, *root.parents) and content_hash(source) == content


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file a second name, or copy it where the file system has no links.

    Raises:
        OSError: the file system refuses both.
    """
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(source, target)


class _Copier:
    """Copies a file for `copytree`, or links it if it is below `linked`; the result is read-only."""

    def __init__(self, linked: Path) -> None:
        self._linked = str(linked) + os.sep

    def __call__(self, source: str, target: str) -> str:
        real = os.path.realpath(source)
        if real.startswith(self._linked):
            link_or_copy(real, target)
        else:
            shutil.copy2(source, target)
        os.chmod(target, os.stat(target).st_mode & ~WRITABLE)
        return target


class _Ignored:
    """Names for `copytree` to leave out. A folder is entered once, whatever links lead to it."""

    def __init__(self, source: Path, root: Path) -> None:
        self._entered = {os.path.realpath(source), os.path.realpath(root)}

    def __call__(self, folder: str, names: list[str]) -> list[str]:
        return [name for name in sorted(names) if self._ignores(name, os.path.join(folder, name))]

    def _ignores(self, name: str, path: str) -> bool:
        if not os.path.isdir(path):
            return not os.path.isfile(path)
        real = os.path.realpath(path)
        entered = real in self._entered
        self._entered.add(real)
        return entered or name == "__pycache__"
