"""Standard output and error whose failures end no command: its result counts, whether or not it can be printed."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Stream(io.FileIO):
    """A descriptor to write to. Writes that fail are dropped: the reader has closed, or the disk is full.

    `error` is the first failure.
    """

    error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write `data`, or drop it; return its length."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                count = super().write(view[done:])
                if count is None:  # it is non-blocking, and full
                    select.select([], [self], [])
                done += count or 0
        except OSError as error:
            self.error = self.error or error
        return len(view)


class Streams:
    """Installs a standard output and error on which no write can fail, whatever the caller has closed or filled."""

    def __init__(self) -> None:
        _fill_descriptors()
        self._out = _raw(1, sys.stdout)
        sys.stdout, sys.stderr = _text(self._out, sys.stdout), _text(_raw(2, sys.stderr), sys.stderr)

    def tell_losses(self) -> None:
        """Report on standard error that standard output is incomplete, unless its reader closed it, as `head` does."""
        sys.stdout.flush()
        error = self._out.error
        if error is not None and error.errno not in {errno.EPIPE, errno.EBADF}:
            print(f"standard output: {error.strerror}; what was printed is not whole", file=sys.stderr)


def _fill_descriptors() -> None:
    """Open `/dev/null` where a standard descriptor is closed: else the next file gets its number, and all output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one
            os.set_inheritable(descriptor, True)


def _raw(descriptor: int, stream: TextIO | None) -> Stream:
    """Return the stream of a descriptor; that of `/dev/null` if the process started without one (`stream` is None)."""
    return Stream(descriptor if stream is not None else os.open(os.devnull, os.O_WRONLY), "w", closefd=False)


def _text(raw: Stream, stream: TextIO | None) -> TextIO:
    """Return a text stream in the encoding of `stream`; characters that it lacks are written as escapes."""
    encoding = stream.encoding if stream is not None else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)
