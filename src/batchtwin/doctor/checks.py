"""Checks and their results; all of them run in parallel and end in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from batchtwin_node.codec import value_object

# A check that takes longer is left behind: the command has to answer within three seconds.
SECONDS = 2.6
# `ok`; `note`: something is missing that a job does not need; `problem`: it stops a job.
Status = Literal["ok", "note", "problem"]


@value_object
class Check:
    """What was checked, its status, and the command or change that fixes it."""

    name: str
    status: Status
    text: str
    fix: str = ""


@value_object
class Probe:
    """Checks that run together; `name` stands for them if they do not end in time."""

    name: str
    run: Callable[[], Iterable[Check]]


def run_all(probes: Sequence[Probe], seconds: float = SECONDS) -> list[Check]:
    """Run all checks at once; return their results in the order of the probes."""
    results: list[list[Check]] = [[] for _ in probes]
    # Daemons: one that hangs does not keep this process alive.
    threads = [
        threading.Thread(target=_run, args=[probe, result], daemon=True)
        for probe, result in zip(probes, results, strict=True)
    ]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    for probe, thread, result in zip(probes, threads, results, strict=True):
        if thread.is_alive():
            result.append(Check(probe.name, "note", f"did not answer within {seconds:g} s"))
    return [check for result in results for check in list(result)]


def _run(probe: Probe, result: list[Check]) -> None:
    try:
        for check in probe.run():
            result.append(check)
    except Exception as error:  # a check that fails is a result, too
        result.append(Check(probe.name, "note", f"cannot be checked: {type(error).__name__}: {error}"))
