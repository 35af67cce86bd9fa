"""The settings of warm servers in the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from batchtwin import user_folders
from batchtwin.errors import UsageError

WARM, SECONDS, SERVERS, FOLDER = (
    "BATCHTWIN_WARM",
    "BATCHTWIN_WARM_SECONDS",
    "BATCHTWIN_WARM_SERVERS",
    "BATCHTWIN_WARM_FOLDER",
)
# Defaults: a server ends after ten minutes without a job; three servers stay, for two models and their imports.
DEFAULT_SECONDS, DEFAULT_SERVERS = 600.0, 3
OFF = "BATCHTWIN_NO_FORK"


def is_possible() -> bool:
    """Whether servers can stay here: only Linux forks processes so, and not every Python has the calls."""
    has_calls = hasattr(os, "memfd_create") and hasattr(os, "pidfd_open")
    return sys.platform == "linux" and has_calls and not os.environ.get(OFF)


def is_warm(environ: Mapping[str, str], default: bool) -> bool:
    """Whether jobs are warm that do not say; `default` applies if the environment does not say either.

    Raises:
        UsageError: the variable says neither.
    """
    text = environ.get(WARM, "").strip().lower()
    if not text:
        return default
    if text in ("0", "false", "no", "off"):
        return False
    if text in ("1", "true", "yes", "on"):
        return True
    raise UsageError(f"{WARM}={environ[WARM]}: expected 1 or 0")


def idle_seconds() -> float:
    """Return how long a server stays without a job.

    Raises:
        UsageError: the variable is no number of seconds.
    """
    return _number(SECONDS, DEFAULT_SECONDS)


def servers() -> int:
    """Return how many servers stay at most; 0 for none.

    Raises:
        UsageError: the variable is no number.
    """
    return int(_number(SERVERS, DEFAULT_SERVERS))


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"{name}={text}: expected a number from 0")
    return value


def folder() -> Path:
    """Return the folder of the servers' sockets, which only this user can enter."""
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER]).absolute()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isabs(runtime) and os.path.isdir(runtime):
        return Path(runtime, "batchtwin-warm")
    return user_folders.cache() / "batchtwin/warm"
