"""Copies of what users name: whole or absent, read-only, and known by their content.

What was uploaded to a datastore of the workspace is linked, not copied once more.
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
# The folder of the datastores. The blob service replaces files there and never writes to one, so they can be linked.
DATASTORES = "datastores"
# The folder of the jobs.
JOBS = "jobs"
# What `os.link` says where files cannot be linked.
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@value_object
class Staged:
    """A finished copy in a folder of its own that waits for its place: `folder / name`."""

    folder: Path
    name: str
    content_hash: str

    def commit(self, place: Path) -> Path:
        """Move the folder to `place` and return the path of the copy; what is at `place` is removed first.

        A command that was killed before it could tell the database leaves such a folder.
        """
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            shutil.rmtree(place)
        self.folder.rename(place)
        return place / self.name

    def commit_if_absent(self, place: Path) -> Path:
        """Move the folder to `place`, which is named by the content, unless it is there already."""
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.folder.rename(place)
        except OSError:
            if not place.is_dir():
                raise
        return next(place.iterdir())


def source_of(path: Path) -> Path:
    """Return the absolute path of what is to be copied; its last part is the name of the copy.

    Raises:
        InvalidError: no such path.
    """
    if not path.exists():
        raise InvalidError(f"{path}: no such file or folder")
    return path.resolve() if path.name in {"", ".", ".."} else path.absolute()


@contextmanager
def staged(root: Path, path: Path) -> Iterator[Staged]:
    """Copy a file or folder into the workspace at `root`, and remove the copy at the end unless it was committed.

    `__pycache__`, pipes, devices and broken links are left out, and the workspace itself; links are followed.

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
        name, _, why = error.args[0][0]
        raise InvalidError(f"{name}: cannot be copied: {why}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def upload(root: Path, path: Path) -> Path:
    """Keep a copy of local input; the same content under the same name is kept once. Return where it is.

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
