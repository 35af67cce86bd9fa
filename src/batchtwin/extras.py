"""The packages of batchtwin's extras: batchtwin is in no index, so advice names what to install."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement


def install_command(*extras: str) -> str:
    """Return the command that installs what these extras bring, as `pip install 'adlfs>=2024.12'`."""
    packages = dict.fromkeys(package for extra in extras for package in _packages(extra))
    if not packages:
        return f"install what pyproject.toml lists for {', '.join(extras)}"
    return f"pip install {' '.join(repr(package) for package in packages)}"


def _packages(extra: str) -> Iterator[str]:
    try:
        lines = metadata.requires("batchtwin") or []
    except metadata.PackageNotFoundError:  # run from its sources
        lines = []
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield f"{requirement.name}{requirement.specifier}"
