"""How many jobs of a workspace run at once; the others are Queued.

A slot is a lock on a file: the kernel releases it however its job ends. One of the waiting jobs looks for a free slot,
and the others wait for their turn to look.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batchtwin.locks import acquire, hold
from batchtwin.workspace.errors import InvalidError
from batchtwin_node.machine import cpus

VARIABLE = "BATCHTWIN_JOBS"
FOLDER = ".slots"
LOOK_SECONDS = 0.05


@contextmanager
def job_slot(root: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold one of the job slots of the workspace at `root`; `wait` is called if none is free at once.

    BATCHTWIN_JOBS sets their number. The default is the number of CPUs, at least two.

    Raises:
        InvalidError: BATCHTWIN_JOBS is not a number above 0.
    """
    count = _count()
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    slot = _free(folder, count)
    if slot is None:
        wait()
        slot = _next(folder, count)
    try:
        yield
    finally:
        os.close(slot)


def _count() -> int:
    text = os.environ.get(VARIABLE)
    if text is None:
        return max(2, cpus())
    if not text.isdecimal() or not int(text):
        raise InvalidError(f"{VARIABLE}={text}: must be the number of jobs that may run at once, 1 or more")
    return int(text)


def _next(folder: Path, count: int) -> int:
    with hold(folder / "queue"):
        while (held := _free(folder, count)) is None:
            time.sleep(LOOK_SECONDS)
        return held


def _free(folder: Path, count: int) -> int | None:
    """Return the descriptor of a free slot's lock; None if all are held."""
    for number in range(count):
        with suppress(BlockingIOError):
            return acquire(folder / str(number), wait=False)
    return None
