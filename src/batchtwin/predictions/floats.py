"""The floats in a record, and when two records are equal except for noise in their floats."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial

from batchtwin.errors import UsageError
from batchtwin_node.codec import value_object

# Whole numbers, words with digits and versions are text, compared to the byte.
FLOAT = re.compile(rb"(?<![\w.])([-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?)(?![\w.])")
# JSON's names for what Python calls nan and inf.
NAMED_FLOAT = re.compile(rb"\b(?:NaN|Infinity)\b")


def split_floats(record: bytes) -> tuple[list[bytes], list[float]]:
    """Return the texts of a record, and the floats between them."""
    if b"NaN" in record or b"Infinity" in record:
        record = NAMED_FLOAT.sub(lambda name: name[0][:3].lower(), record)
    parts = FLOAT.split(record)
    floats = [*map(float, parts[1::2])]
    # Numbers past the largest float are text: as floats they would all be equal.
    return ([record], []) if any(map(math.isinf, floats)) else (parts[::2], floats)


@value_object
class Tolerance:
    """Two floats are near if they differ by at most `rtol` of the larger one, or by at most `atol`.

    Raises:
        UsageError: a tolerance is out of range.
    """

    rtol: float
    atol: float

    def __post_init__(self) -> None:
        if not 0 <= self.rtol < 1:
            raise UsageError(f"--rtol {self.rtol:g}: expected a number from 0 to below 1")
        if not 0 <= self.atol < math.inf:
            raise UsageError(f"--atol {self.atol:g}: expected a number from 0")

    def is_same(self, left: bytes, right: bytes) -> bool:
        """Whether two records have the same texts and near floats."""
        (texts, floats), (other_texts, other_floats) = split_floats(left), split_floats(right)
        return texts == other_texts and self.is_near(floats, other_floats)

    def is_near(self, floats: Sequence[float], others: Sequence[float]) -> bool:
        """Whether each float is near the other one at its place."""
        return all(map(partial(math.isclose, rel_tol=self.rtol, abs_tol=self.atol), floats, others))

    @property
    def reach(self) -> float:
        """The positions of near floats differ by at most this; the constant allows for rounding."""
        return 2 * (self.rtol / (1 - self.rtol) + 2e-12)

    def position(self, floats: Sequence[float]) -> float:
        """Return one number for all floats. Sorting records by it makes near ones neighbours.

        It is a mean of logarithms, because `rtol` is a ratio; below `scale`, where `atol` counts, they are nearly
        linear. The weights, from 1 to 2, tell apart records with the same floats in another order.
        """
        scale = min(max(self.atol / max(self.rtol, 1e-12), 1e-30), 1e300)
        total = 0.0
        for number, value in enumerate(floats):
            size = math.log1p(min(abs(value) / scale, 1e300))
            total += (1 + number * 0.618034 % 1) * math.copysign(size, value)
        return total / max(len(floats), 1)
