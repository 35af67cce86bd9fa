"""The packages of a node, copied to where another interpreter finds them and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
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


def stamp_of_packages() -> str:
    """Return a hash of the packages of a node, by the times and sizes of their files.

    Raises:
        OSError: a file cannot be looked at.
    """
    facts = []
    for package in PACKAGES:
        for path in sorted(Path(bootstrap.FOLDER, package).rglob("*.py")):
            about = path.stat()
            facts.append([str(path.relative_to(bootstrap.FOLDER)), about.st_size, about.st_mtime_ns])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
