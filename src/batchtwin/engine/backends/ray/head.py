"""What only the head of a Ray cluster can answer, or do. Without a head, Ray waits for one; we do not for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

ANSWER_SECONDS = 5.0
# Beyond any sensible `--ray-wait`, and still no more than 32 bits if Ray counts in milliseconds.
FOREVER_SECONDS = 10**6

T = TypeVar("T")


def disable_gcs_exit() -> None:
    """Have this process, which is to import Ray, live on without a head: Ray would end it after a minute."""
    os.environ["RAY_gcs_rpc_server_reconnect_timeout_s"] = str(FOREVER_SECONDS)


def call_with_timeout(question: Callable[[], T], seconds: float = ANSWER_SECONDS) -> T | None:
    """Return what `question` returns; None if it does not in time, or Ray cannot tell. It may be left waiting."""
    answers: list[T] = []

    def ask() -> None:
        try:
            answers.append(question())
        except Exception:  # Ray has no class for them all
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else None
