"""Two prediction files, whatever the order of their lines: equal, or what differs."""

from __future__ import annotations

from batchtwin.compare.comparison import Comparison, Difference
from batchtwin.compare.errors import CompareError
from batchtwin.compare.run import compare

__all__ = ["CompareError", "Comparison", "Difference", "compare"]
