"""What only the head of a Ray cluster can answer, or do. Without a head, Ray waits for one; we do not for ever.

And the head of a Ray of the job's own: it starts without the processes that nobody uses there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

ANSWER_SECONDS = 5.0
# Beyond any sensible `--ray-wait`, and still no more than 32 bits if Ray counts in milliseconds.
FOREVER_SECONDS = 10**6

# Methods of Ray's own class for a machine, each of which starts a process: one that scales clusters, one that brings
# the workers' output to the driver, and what is left of the dashboard without its pages, for which `ray.init` waits.
UNUSED = ("start_monitor", "start_log_monitor", "start_api_server")

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


@contextmanager
def lean_head() -> Iterator[None]:
    """Have `ray.init` start a cluster without the processes of `UNUSED`: half of the CPU time of its start.

    Ray has no option for that. Where this Ray is another than is known here, it starts them all.
    """
    try:
        from ray._private.node import Node
    except ImportError:
        yield
        return
    kept = {name: vars(Node)[name] for name in UNUSED if name in vars(Node)}
    if len(kept) == len(UNUSED) and isinstance(getattr(Node, "webui_url", None), property):
        for name in UNUSED:
            setattr(Node, name, _start_nothing)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(Node, name, method)


def _start_nothing(node: Any, **_: object) -> None:
    node._webui_url = ""
