"""Calls that only the head of a Ray cluster answers, with a timeout: without a head, Ray waits forever.

Also the head of a Ray of the job's own: it starts without the processes that nobody uses there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

ANSWER_SECONDS = 5.0
# More than any sensible `--ray-wait`, and below 32 bits if Ray counts in milliseconds.
FOREVER_SECONDS = 10**6

# Methods of Ray's class for a machine. Each starts a process: the autoscaler, the log monitor, and what is left of the
# dashboard without its pages, for which `ray.init` waits.
UNUSED = ("start_monitor", "start_log_monitor", "start_api_server")

T = TypeVar("T")


def disable_gcs_exit() -> None:
    """Keep this process alive without a head, before it imports Ray: Ray would end it after a minute."""
    os.environ["RAY_gcs_rpc_server_reconnect_timeout_s"] = str(FOREVER_SECONDS)


def call_with_timeout(question: Callable[[], T], seconds: float = ANSWER_SECONDS) -> T | None:
    """Return what `question` returns; None if Ray fails or is too late. The call may then go on in a thread."""
    answers: list[T] = []

    def ask() -> None:
        try:
            answers.append(question())
        except Exception:  # Ray has no common class of errors
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else None


@contextmanager
def lean_head() -> Iterator[None]:
    """Have `ray.init` start a cluster without the processes of `UNUSED`: half of the CPU time of its start.

    Ray has no option for that. A version of Ray that differs here starts them all.
    """
    try:
        from ray._private.node import Node
    except ImportError:
        yield
        return
    methods = {name: vars(Node)[name] for name in UNUSED if name in vars(Node)}
    if len(methods) == len(UNUSED) and isinstance(getattr(Node, "webui_url", None), property):
        for name in UNUSED:
            setattr(Node, name, _start_nothing)
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(Node, name, method)


def _start_nothing(node: Any, **_: object) -> None:
    node._webui_url = ""
