"""Inputs that are not what they were when the job listed them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import content_hash
from batchtwin_node.codec import value_object


@value_object
class Change:
    """An input that has changed: its path, and a sentence that names it."""

    path: str
    text: str


def change_of(file: InputFile, sha256: str | None) -> Change | None:
    """Look at an input again: by size and time of change, or by content where that was hashed [R]."""
    try:
        info = os.stat(file.path)
    except OSError as error:
        return Change(file.path, f"input {file.path}: {error.strerror}")
    if info.st_size != file.size:
        return Change(file.path, f"input {file.path} has {info.st_size} bytes, {file.size} when the job began")
    if sha256:
        same = content_hash(Path(file.path)) == sha256
        return None if same else Change(file.path, f"input {file.path} has changed")
    if info.st_mtime_ns == file.mtime_ns:
        return None
    return Change(file.path, f"input {file.path} was written since the job began")


class Watch:
    """Looks at inputs again when their mini-batch has been scored, and tells each change once.

    `hashes` holds the SHA-256 of paths, where they are wanted; `known` are the changes of earlier runs of the job.
    """

    def __init__(self, hashes: Mapping[str, str], known: Iterable[Change]) -> None:
        self._hashes = hashes
        self.changes = {change.path: change for change in known}
        self._looked_at: dict[str, tuple[tuple[int, int], Change | None]] = {}

    def look(self, files: Iterable[InputFile]) -> list[Change]:
        """Return what has changed of `files` and was not known."""
        return self.add(change for file in files if (change := self._look_at(file)))

    def add(self, changes: Iterable[Change]) -> list[Change]:
        """Take over changes that somebody else has seen; return those that were not known."""
        return list(self._new(changes))

    def _new(self, changes: Iterable[Change]) -> Iterator[Change]:
        for change in changes:
            if change.path not in self.changes:
                self.changes[change.path] = change
                yield change

    def _look_at(self, file: InputFile) -> Change | None:
        """Without reading the file, unless its times say that it was written; then once, however many parts it has."""
        try:
            info = os.stat(file.path)
        except OSError:
            return change_of(file, None)
        stamp = info.st_size, info.st_mtime_ns
        if stamp == (file.size, file.mtime_ns):
            return None
        before = self._looked_at.get(file.path)
        if before is None or before[0] != stamp:
            before = self._looked_at[file.path] = stamp, change_of(file, self._hashes.get(file.path))
        return before[1]
