"""Write whole files: under a random name first, synced, then renamed. A reader sees the old file or the new one."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from batchtwin.safe_open import SAFE, open_folder

# How much of a file's name its temporary file has: bytes, and characters (of at most four bytes).
LONGEST_NAME, CUT = 200, 50


def write_text(
    path: Path, text: str | Iterable[str], *, mode: int | None = None, root: Path | None = None, sync: bool = True
) -> None:
    """Write UTF-8 text, in one piece or in many; the options are those of `replacing`.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    with replacing(path, mode=mode, root=root, sync=sync) as stream:
        for piece in (text,) if isinstance(text, str) else text:
            stream.write(piece.encode())


def write_bytes(path: Path, data: bytes, *, mode: int | None = None, sync: bool = True) -> None:
    """Write bytes; the options are those of `replacing`.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    with replacing(path, mode=mode, sync=sync) as stream:
        stream.write(data)


@contextmanager
def replacing(
    path: Path, *, mode: int | None = None, root: Path | None = None, sync: bool = True
) -> Iterator[BinaryIO]:
    """Yield a stream whose content becomes the file `path` at the end of the block; after an exception nothing is left.

    No folder between `root` and the file may be a link. Without `mode` the umask decides on the rights. Without `sync`
    the file may be lost if the machine fails.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    folder = open_folder(path.parent, root)
    temporary = temporary_beside(path).name
    try:
        with _named_errors(path):
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE, 0o666 if mode is None else mode, dir_fd=folder
            )
            with os.fdopen(descriptor, "wb") as stream:
                if mode is not None:
                    os.fchmod(descriptor, mode)
                yield stream
                if sync:
                    stream.flush()
                    os.fsync(descriptor)
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            if sync:
                os.fsync(folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    finally:
        os.close(folder)


def move(source: Path, target: Path, root: Path | None = None) -> None:
    """Rename a whole, synced file to its place, and sync that folder; `root` as in `replacing`.

    Raises:
        OSError: the file system refuses.
    """
    folder = open_folder(target.parent, root)
    try:
        os.replace(source, target.name, dst_dir_fd=folder)
        os.fsync(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None
    finally:
        os.close(folder)


def temporary_beside(path: Path) -> Path:
    """Return an unpredictable name for a file that other code writes and renames to `path`."""
    # With what is added, a name may become longer than a file system allows.
    name = path.name if len(os.fsencode(path.name)) <= LONGEST_NAME else path.name[:CUT]
    return path.with_name(f".{name}.{secrets.token_hex(8)}.new")


def remove_temporaries(path: Path) -> None:
    """Remove what killed writers of `path` left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.new*"):
        with suppress(OSError):
            left.unlink()


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Add the name of the intended file to errors that name no file, or a temporary one."""
    try:
        yield
    except OSError as error:
        if os.sep in str(error.filename):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
