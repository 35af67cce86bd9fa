"""Numbers in text, and when two of them are the same."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from batchtwin.compare.errors import ToleranceError

# Whole numbers are text: they are the same or not. So are words with digits, versions and the like.
_FLOAT = rb"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?"
FLOAT = re.compile(rb"(?<![\w.])(" + _FLOAT + rb")(?![\w.])")
ONE_FLOAT = re.compile(_FLOAT)
# JSON's names for what Python calls nan and inf.
NAMED = re.compile(rb"\b(?:NaN|Infinity)\b")
Texts = tuple[bytes, ...]
Floats = tuple[float, ...]


def texts_and_floats(record: bytes) -> tuple[Texts, Floats]:
    """Split a record into what must be the same and what may be close. Shapes: (n + 1,), (n,)."""
    parts = FLOAT.split(_named(record))
    return tuple(parts[::2]), tuple(map(float, parts[1::2]))


def without_floats(record: bytes) -> bytes:
    """Return the text around the floats; equal texts give equal ones."""
    return FLOAT.sub(b"", _named(record))


def _named(record: bytes) -> bytes:
    if b"NaN" in record or b"Infinity" in record:
        return NAMED.sub(lambda found: found[0][:3].lower(), record)
    return record


@dataclass(frozen=True)
class Tolerance:
    """Floats are the same if they differ by no more than `rtol` times the larger one, or by `atol`.

    Raises:
        ToleranceError: `rtol` is not in [0, 1), or `atol` is negative or no finite number.
    """

    rtol: float
    atol: float

    def __post_init__(self) -> None:
        if not 0 <= self.rtol < 1:
            raise ToleranceError("rtol", self.rtol, "a number from 0 to below 1")
        if not 0 <= self.atol < math.inf:
            raise ToleranceError("atol", self.atol, "a number from 0")

    def close(self, left: float, right: float) -> bool:
        """Compare two numbers."""
        return math.isclose(left, right, rel_tol=self.rtol, abs_tol=self.atol)

    def all_close(self, left: Sequence[float], right: Sequence[float]) -> bool:
        """Compare numbers one by one. Shapes: (n,), (n,)."""
        return all(map(self.close, left, right))

    def same_floats(self, left: Iterable[bytes], right: Iterable[bytes]) -> Iterator[bool]:
        """Tell, quickly, which texts are one float each, and close. Shapes: (n,), (n,), (n,)."""
        one, close = ONE_FLOAT.fullmatch, partial(math.isclose, rel_tol=self.rtol, abs_tol=self.atol)
        for mine, other in zip(left, right, strict=True):
            yield one(mine) is not None and one(other) is not None and close(float(mine), float(other))
