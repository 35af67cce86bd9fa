"""Inputs that have changed since the job listed them."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from batchtwin.errors import BatchTwinError
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import content_hash
from batchtwin_node.codec import value_object
from batchtwin_node.readers.bad_file import printable

# Inputs up to both limits are hashed with every job: at most about 25 ms of CPU.
HASHED_BYTES = 16 << 20
HASHED_FILES = 500
# The time of a write is that of the kernel's last tick.
TICK_SECONDS = 0.02


@value_object
class InputChange:
    """An input that has changed: its path, and a sentence that names it.

    `advice`: what to do if its content is the same, where nothing but its time shows a change.
    """

    path: str
    text: str
    advice: str = ""


def content_hashes(files: Sequence[InputFile], *, every: bool) -> dict[str, str]:
    """Return the SHA-256 of inputs by path: of `every` input, else only if inputs are few and small.

    Files that no longer exist have none. Nor have those that cannot be read, unless `every` input needs a hash: they
    are for their mini-batch to tell.

    Raises:
        BatchTwinError: a file cannot be read, and `every` input needs a hash.
    """
    if not every and (len(files) > HASHED_FILES or sum(file.size for file in files) > HASHED_BYTES):
        return {}
    hashes = {}
    for file in files:
        if os.path.isfile(file.path):
            with nullcontext() if every else suppress(BatchTwinError):
                hashes[file.path] = content_hash(Path(file.path))
    return hashes


def change_of(file: InputFile, sha256: str | None) -> InputChange | None:
    """Return the change of an input: by size and time of change, or by content if that was hashed [R]."""
    name = f"input {printable(file.path)}"
    try:
        info = os.stat(file.path)
    except OSError as error:
        return InputChange(file.path, f"{name}: {error.strerror}")
    if info.st_size != file.size:
        return InputChange(file.path, f"{name} has {info.st_size} bytes, {file.size} when the job began")
    if not stat.S_ISREG(info.st_mode):
        return InputChange(file.path, f"{name} is no regular file any more")
    if sha256:
        try:
            is_same = content_hash(Path(file.path)) == sha256
        except BatchTwinError as error:
            return InputChange(file.path, f"input {printable(str(error))}")
        return None if is_same else InputChange(file.path, f"{name} has changed")
    if info.st_mtime_ns == file.mtime_ns:
        return None
    return InputChange(file.path, f"{name} was written since the job began", _advice(file))


def _advice(file: InputFile) -> str:
    """Return the command that restores a file's recorded time; none for a year past 9999."""
    seconds, nanoseconds = divmod(file.mtime_ns, 10**9)
    try:
        time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"
    except (OverflowError, ValueError, OSError):
        return ""
    return f"if its content is the same: touch -m -d {time} {shlex.quote(file.path)}"


class InputMonitor:
    """Looks at inputs again when their mini-batch has been scored, and returns each change once.

    `hashes` holds the SHA-256 of paths, where they are kept; `changes` are those of earlier runs of the job.
    """

    def __init__(self, hashes: Mapping[str, str], changes: Iterable[InputChange]) -> None:
        self._hashes = hashes
        self.changes = {change.path: change for change in changes}
        self._seen_stamps: dict[str, tuple[tuple[int, int], InputChange | None]] = {}

    def look(self, files: Iterable[InputFile], started: float) -> list[InputChange]:
        """Return the new changes of `files`, whose mini-batch was `started` at a time in seconds since the epoch."""
        return self.add(change for file in files if (change := self._look_at(file, started)))

    def add(self, changes: Iterable[InputChange]) -> list[InputChange]:
        """Take over changes that were found elsewhere; return the new ones."""
        return list(self._new(changes))

    def lasting(self, files: Iterable[InputFile]) -> list[InputChange]:
        """Return the changes of `files` that `resume` would refuse: those that were not undone by now."""
        changed = (file for file in files if file.path in self.changes)
        return [
            self.changes[file.path]
            for file in changed
            if file.is_remote or change_of(file, self._hashes.get(file.path))
        ]

    def _new(self, changes: Iterable[InputChange]) -> Iterator[InputChange]:
        for change in changes:
            if change.path not in self.changes:
                self.changes[change.path] = change
                yield change

    def _look_at(self, file: InputFile, started: float) -> InputChange | None:
        """Look at a file's times; if they have changed, read it once, however many parts it has.

        Whoever writes a file empties it first: what was read meanwhile may be less than what is there again now.
        """
        try:
            info = os.stat(file.path)
        except OSError:
            return change_of(file, None)
        stamp = info.st_size, info.st_mtime_ns
        if stamp == (file.size, file.mtime_ns):
            return None
        before = self._seen_stamps.get(file.path)
        if before is None or before[0] != stamp:
            before = self._seen_stamps[file.path] = stamp, change_of(file, self._hashes.get(file.path))
        if before[1] is None and info.st_mtime_ns / 1e9 >= started - TICK_SECONDS:
            return InputChange(
                file.path, f"input {printable(file.path)} was written while it was scored, with the same content"
            )
        return before[1]
