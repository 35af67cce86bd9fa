"""The packages of a node, copied to a folder of their own for another interpreter."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from batchtwin_node import bootstrap

PACKAGES = ("batchtwin_node", "azureml_user")


def copy_packages(folder: Path) -> None:
    """Copy the packages of a node into a folder.

    Raises:
        OSError: the file system refuses.
    """
    for package in PACKAGES:
        source = Path(bootstrap.FOLDER) / package
        shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def have_packages(folder: Path) -> bool:
    """Whether a folder has the packages of a node: every file, in its size."""
    try:
        return all((folder / name).stat().st_size == about.st_size for name, about in _files())
    except OSError:
        return False


def _files() -> Iterator[tuple[str, os.stat_result]]:
    for package in PACKAGES:
        for path in sorted(Path(bootstrap.FOLDER, package).rglob("*.py")):
            yield str(path.relative_to(bootstrap.FOLDER)), path.stat()


def stamp_of_packages() -> str:
    """Return a hash of the packages of a node, by the times and sizes of their files.

    Raises:
        OSError: a file cannot be looked at.
    """
    stamps = [[name, about.st_size, about.st_mtime_ns] for name, about in _files()]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16]
