"""The root of this package's own errors."""

from __future__ import annotations


class NodeError(Exception):
    """Something that the person who runs the job can fix; the message is meant for them."""
