"""Whether this environment has Arrow. Without it everything but Parquet works, slower."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

# Earlier versions lack functions that are used here.
OLDEST = 6


@lru_cache(maxsize=None)
def has_arrow() -> bool:
    """Whether there is a pyarrow that is new enough."""
    try:
        version: str = import_module("pyarrow").__version__
    except ImportError:
        return False
    return int(version.partition(".")[0]) >= OLDEST
