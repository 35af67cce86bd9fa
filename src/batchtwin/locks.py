"""One process at a time on a folder. The kernel lets go of the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batchtwin.errors import BatchTwinError, OutputError


@contextmanager
def locked(root: Path, *, make: bool = True) -> Iterator[None]:
    """Hold the output folder `root`, which is made if it is not there, or has to be there.

    Raises:
        OutputError: another process holds it, or it cannot be made.
    """
    try:
        if make:
            root.mkdir(parents=True, exist_ok=True)
        elif not (root / "job.sqlite").exists():
            raise OutputError(f"{root}: is not the output folder of a job")
        descriptor = _open(root)
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}; choose another folder: --output DIR") from None
    advice = "wait for it, or choose another --output"
    with _held(descriptor, lambda holder: OutputError(f"{root}: in use by process {holder}; {advice}")):
        yield


@contextmanager
def alone(folder: Path, refusal: Callable[[str], BatchTwinError]) -> Iterator[None]:
    """Hold a folder that is there.

    Raises:
        BatchTwinError: `refusal` of the id of the process that holds it.
        OSError: its lock cannot be made.
    """
    with _held(_open(folder), refusal):
        yield


def _open(folder: Path) -> int:
    return os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


@contextmanager
def _held(descriptor: int, refusal: Callable[[str], BatchTwinError]) -> Iterator[None]:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise refusal(os.read(descriptor, 32).decode() or "?") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)
