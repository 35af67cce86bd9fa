"""Places where a test may end this process, as a power cut or `kill -9` would. Nothing happens unless it asks.

`BATCHTWIN_CRASH_AT=parent:7` kills the parent at its seventh place, `worker:7` each worker at its own;
`BATCHTWIN_CRASH_COUNT=FILE` only counts, a line per place.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import cache


@cache
def crash_points(role: str) -> Callable[[str], None]:
    """Return the function that `role` (parent or worker) calls at each place, with the place's name."""
    at, _, number = os.environ.get("BATCHTWIN_CRASH_AT", "").partition(":")
    count_file = os.environ.get("BATCHTWIN_CRASH_COUNT")
    if at != role and not count_file:
        return lambda name: None
    passed = 0

    def point(name: str) -> None:
        nonlocal passed
        passed += 1
        if count_file:
            with open(count_file, "a", encoding="utf-8") as stream:
                stream.write(f"{role} {name}\n")
        if at == role and passed == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    return point
