"""The root of this package's own errors."""

from __future__ import annotations


class NodeError(Exception):
    """A problem that the person who runs the job can fix; the message is for them."""


class FileFailure(Exception):
    """Scoring one file of a mini-batch failed; `__cause__` says why. `path` is the file."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path
