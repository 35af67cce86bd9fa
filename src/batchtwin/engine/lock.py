"""One process at a time on an output folder. The kernel lets go of the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchtwin.errors import OutputError


@contextmanager
def locked(root: Path, *, make: bool = True) -> Iterator[None]:
    """Hold the folder `root`, which is made if it is not there, or has to be there.

    Raises:
        OutputError: another process holds it, or it cannot be made.
    """
    try:
        if make:
            root.mkdir(parents=True, exist_ok=True)
        elif not (root / "job.sqlite").exists():
            raise OutputError(f"{root}: is not the output folder of a job")
        descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}; choose another folder: --output DIR") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode() or "?"
            raise OutputError(f"{root}: in use by process {holder}; wait for it, or choose another --output") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)
