"""Signals that end a job in order: those of a command, and those of a function in a user's program."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import Any

from batchtwin.errors import CANCELED

Interrupts = Callable[[], AbstractContextManager[list[int]]]
"""A block in which signals are collected: the list is no longer empty once the job is to end."""


@contextmanager
def of_a_command() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM; a second one kills this process, and with it the workers."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            os._exit(CANCELED)
        caught.append(number)

    with _handled((signal.SIGINT, signal.SIGTERM), catch):
        yield caught


@contextmanager
def of_a_caller() -> Iterator[list[int]]:
    """Collect SIGINT only, and only in the main thread, where Python allows it; a second one is a KeyboardInterrupt.

    A program that ignores SIGINT still ignores it. SIGTERM is left to the program.
    """
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    is_free = threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT))
    with _handled((signal.SIGINT,) if is_free else (), catch):
        yield caught


class Signals:
    """Signals collected over more than one block of code, from the first `collect` to `close`."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self._stack = ExitStack()
        self._caught: list[int] | None = None

    def collect(self) -> list[int]:
        """Collect from now on, or go on: the list is no longer empty once the job should end."""
        if self._caught is None:
            self._caught = self._stack.enter_context(self._interrupts())
        return self._caught

    def close(self) -> None:
        """Restore the earlier handlers."""
        self._stack.close()


@contextmanager
def _handled(signals: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before: dict[signal.Signals, Any] = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, earlier in before.items():
            # None: a handler that is not Python's, which Python cannot set again.
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)
