"""Lines through pipes that never block: lines that have arrived whole, and lines that wait to be written."""

from __future__ import annotations

import os
from collections import deque

READ = 1 << 16


class LineTooLongError(ValueError):
    """More bytes than a line may have, and no newline among them."""


class LineReader:
    """Splits the bytes of a non-blocking descriptor into lines; looks at each byte once.

    `eof`: the other side has closed. `limit` is the length of a line in bytes.
    """

    def __init__(self, fd: int, limit: int) -> None:
        self.fd = fd
        self.eof = False
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def read(self, budget: int = 1 << 24) -> list[bytes]:
        """Return the lines that have arrived whole, after reading at most about `budget` bytes.

        Raises:
            LineTooLongError: a line is longer than the limit.
        """
        lines: list[bytes] = []
        while budget > 0:
            try:
                chunk = os.read(self.fd, READ)
            except BlockingIOError:
                break
            except OSError:  # a pseudo terminal whose other end has closed
                chunk = b""
            if not chunk:
                self.eof = True
                break
            budget -= len(chunk)
            self._split(chunk, lines)
        return lines

    def _split(self, chunk: bytes, lines: list[bytes]) -> None:
        first, newline, rest = chunk.partition(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > self._limit:
            raise LineTooLongError(f"a line of more than {self._limit} bytes")
        if newline:
            lines.append(b"".join(self._parts))
            *whole, last = rest.split(b"\n")
            lines.extend(whole)
            self._parts, self._size = [last], len(last)


class LineWriter:
    """Lines that wait until a non-blocking descriptor takes them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._waiting: deque[memoryview] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether lines wait: flush again when the descriptor is writable."""
        return bool(self._waiting)

    def put(self, line: str) -> None:
        """Add a line, and write what can be written at once."""
        self._waiting.append(memoryview(line.encode() + b"\n"))
        self.flush()

    def flush(self) -> None:
        """Write what can be written at once; drop lines for a reader that has closed."""
        while self._waiting:
            try:
                count = os.write(self.fd, self._waiting[0][: 1 << 20])
            except BlockingIOError:
                return
            except OSError:  # the reader has closed; others notice its end
                self._waiting.clear()
                return
            self._waiting[0] = self._waiting[0][count:]
            if not self._waiting[0]:
                self._waiting.popleft()
