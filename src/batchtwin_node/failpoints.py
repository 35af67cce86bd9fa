"""Places where a test can end this process, as a power cut or `kill -9` would. Without the variable nothing happens.

`BATCHTWIN_CRASH_AT=parent:7:FILE` kills the controller at its seventh place, `parent:committed:FILE` at its first of
that name, `worker:7:FILE` a worker at its own: the first that gets there and makes FILE, so that it happens once.
"""

from __future__ import annotations

import os
import signal
from functools import lru_cache
from typing import Callable


class _Failpoints:
    """The places of one role. The variable is read at the first of them."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._places_left = -1
        self._name = self._flag = ""

    def __call__(self, name: str) -> None:
        if self._places_left < 0:
            self._places_left = self._first()
        if self._places_left == 0 or self._name not in ("", name):
            return
        self._places_left -= 1
        if self._places_left == 0:
            try:
                with open(self._flag, "x", encoding="utf-8") as stream:
                    stream.write(name)
                    stream.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:  # another process was the first
                pass

    def _first(self) -> int:
        """Return at which of its places this process ends, counted from 1; 0 for at none."""
        role, place, self._flag = [*os.environ.get("BATCHTWIN_CRASH_AT", "").split(":", 2), "", ""][:3]
        if role != self._role:
            return 0
        if place.isdecimal():
            return int(place)
        self._name = place
        return 1


@lru_cache(maxsize=None)
def failpoints(role: str) -> Callable[[str], None]:
    """Return the function that `role` (parent or worker) calls at each place, with the place's name."""
    return _Failpoints(role)
