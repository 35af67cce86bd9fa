"""Open files in a folder that a script could write: regular files only, and no symbolic link is followed.

`root` is the folder that the user named, and may itself be a link. Nothing below it may be one.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import nullcontext, suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Literal, overload

SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MODES = {
    "rb": os.O_RDONLY,
    "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "xb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
}


def open_folder(folder: Path, root: Path | None = None, *, make: bool = False) -> int:
    """Return a descriptor of `folder`. No folder between `root` and it may be a link.

    Without `root` links are followed. `make` creates missing folders below `root`.

    Raises:
        OSError: one is missing, or is not a folder.
    """
    path = root or folder
    if not folder.is_relative_to(path) or ".." in (names := folder.relative_to(path).parts):
        raise OSError(errno.EINVAL, f"is not below {path}", str(folder))
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in names:
        path = path / name
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=descriptor)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | SAFE, dir_fd=descriptor)
        except OSError as error:
            raise _refusal(error, path) from None
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def open_descriptor(path: Path, flags: int, root: Path | None = None, *, mode: int = 0o666, make: bool = False) -> int:
    """Open a regular file with `flags` of `os.open`; `root` and `make` are those of `open_folder`.

    Raises:
        OSError: it is a link, a pipe or another thing that is not a regular file, or cannot be opened.
    """
    folder = open_folder(path.parent, root, make=make)
    try:
        descriptor = os.open(path.name, flags | SAFE, mode, dir_fd=folder)
    except OSError as error:
        raise _refusal(error, path) from None
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return descriptor


@overload
def open_file(
    path: Path, mode: Literal["rb"] = "rb", root: Path | None = None, *, make: bool = False
) -> BufferedReader: ...


@overload
def open_file(
    path: Path, mode: Literal["ab", "xb"], root: Path | None = None, *, make: bool = False
) -> BufferedWriter: ...


def open_file(
    path: Path, mode: Literal["rb", "ab", "xb"] = "rb", root: Path | None = None, *, make: bool = False
) -> BufferedReader | BufferedWriter:
    """Open a regular file to read, append or create it.

    Raises:
        OSError: as of `open_descriptor`.
    """

    def opener(name: str, flags: int) -> int:
        return open_descriptor(path, MODES[mode], root, make=make)

    # By path and opener, so that the file knows its name.
    return open(path, "rb", opener=opener) if mode == "rb" else open(path, mode, opener=opener)


def check_file(path: Path) -> bool:
    """Whether there is a regular file.

    Raises:
        OSError: there is something else, such as a link.
    """
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(info.st_mode):
        text = "is a symbolic link" if stat.S_ISLNK(info.st_mode) else "is not a regular file"
        raise OSError(errno.EINVAL, text, str(path))
    return True


def remove(path: Path, root: Path, *, ignore_errors: bool = False) -> None:
    """Remove a file or folder below `root`, if it is there. A link, also above it, is removed and not followed.

    Raises:
        OSError: the file system refuses, and `ignore_errors` is False.
    """
    with suppress(OSError) if ignore_errors else nullcontext():
        _remove(path, root, ignore_errors)


def _remove(path: Path, root: Path, ignore_errors: bool) -> None:
    at = root
    for name in path.relative_to(root).parts:
        at = at / name
        if at == path or at.is_symlink():
            break
    try:
        folder = open_folder(at.parent, root)
    except FileNotFoundError:
        return
    try:
        if stat.S_ISDIR(os.stat(at.name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(at.name, ignore_errors, dir_fd=folder)
        else:
            os.unlink(at.name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refusal(error, path) from None
    finally:
        os.close(folder)


def _refusal(error: OSError, path: Path) -> OSError:
    """Return the error with the whole path, and a text that names the cause."""
    text = error.strerror
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        text = "is a symbolic link" if path.is_symlink() else "is not a folder"
    elif error.errno == errno.ENXIO:
        text = "is not a regular file"
    return OSError(error.errno, text, str(path))
