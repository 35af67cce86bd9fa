"""The folders of this user: home, cache and configuration. They may be missing."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the user's home; for a user without one, a path where nothing exists and nothing can be made."""
    try:
        return Path.home().absolute()
    except RuntimeError:  # HOME is not set, and the user has no entry in the system's list
        return Path(os.devnull)


def cache() -> Path:
    """Return the folder of the user's caches: XDG_CACHE_HOME, else `.cache` in the home."""
    return _folder("XDG_CACHE_HOME", ".cache")


def config() -> Path:
    """Return the folder of the user's settings: XDG_CONFIG_HOME, else `.config` in the home."""
    return _folder("XDG_CONFIG_HOME", ".config")


def _folder(variable: str, name: str) -> Path:
    text = os.environ.get(variable, "")
    return Path(text) if os.path.isabs(text) else home() / name  # a relative one is ignored, as its specification says
