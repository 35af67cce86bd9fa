"""Locks on files, by flock. The kernel releases a lock when the last process that holds its descriptor ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batchtwin.errors import BatchTwinError
from batchtwin.safe_open import open_descriptor

LOCK = ".lock"


def acquire(path: Path, *, wait: bool) -> int:
    """Lock a file, which is made if it is missing, and return the descriptor that holds the lock; closing releases it.

    Raises:
        BlockingIOError: another process holds it, and `wait` is False.
        OSError: the file cannot be opened, or is not a regular one.
    """
    descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT, mode=0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def share(path: Path) -> int:
    """Take a shared lock on a file, which is made if it is missing: an exclusive lock excludes it, shared ones do not.

    Return the descriptor that holds the lock; closing releases it.

    Raises:
        OSError: the file cannot be opened, or is not a regular one.
    """
    descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT, mode=0o644)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextmanager
def hold(path: Path) -> Iterator[int]:
    """Wait for the lock on a file, and hold it until the end of the block; yield its descriptor.

    Raises:
        OSError: as in `acquire`.
    """
    descriptor = acquire(path, wait=True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock on a file; None if there is no such file."""
    try:
        descriptor = open_descriptor(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two processes that look do not see each other as the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def hold_folder(folder: Path, refusal: Callable[[str], BatchTwinError]) -> Iterator[None]:
    """Hold a folder, one process at a time, by the file `.lock` in it, which names the process.

    Raises:
        BatchTwinError: `refusal` of the id of the process that holds it.
        OSError: the file cannot be opened, or is not a regular one.
    """
    path = folder / LOCK
    try:
        descriptor = acquire(path, wait=False)
    except BlockingIOError:
        raise refusal(_holder(path) or "?") from None
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    descriptor = open_descriptor(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 32).decode()
    finally:
        os.close(descriptor)
