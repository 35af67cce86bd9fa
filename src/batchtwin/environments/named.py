"""Environments that a deployment names (`azureml:NAME:VERSION`): the files that say what is in them.

First what the workspace has registered, then `environments.yml` beside the deployment, then the user's
(`~/.config/batchtwin/environments.yml`), then ours, with the curated names of Microsoft's documentation. Each file maps
`azureml:NAME[:VERSION]` to a conda file or an image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from batchtwin.deployment.reference import PREFIX, AssetReference, InvalidReferenceError, is_reference, parse_reference
from batchtwin.environments.requested import RequestedEnvironment, RequestedEnvironmentError, parse_conda, read_conda

FILE = "environments.yml"
OURS = "curated.yml"


@dataclass(frozen=True)
class NamedEnvironment:
    """What a name stands for: requirements, or an image."""

    requested: RequestedEnvironment | None = None
    image: str | None = None


# What a workspace has registered under a reference; None if it has no such environment.
Registered = Callable[[str], NamedEnvironment | None]


def look_up(reference: str, folder: Path, registered: Registered | None = None) -> NamedEnvironment | None:
    """Return what a reference stands for; None if neither the workspace nor a file says it.

    Raises:
        RequestedEnvironmentError: a mapping file, or the conda file that it names, cannot be read.
    """
    known = registered(reference) if registered else None
    if known is not None:
        return known
    name, version = parts(reference)
    for path, content in _mappings(folder):
        entries = {parts(str(key)): value for key, value in content.items()}
        value = entries.get((name, version), entries.get((name, None)))
        if value is not None:
            return _entry(value, reference, path)
    return None


def parts(reference: str) -> tuple[str, str | None]:
    """Return name and version of `azureml:NAME:VERSION`, of `NAME@latest` and of a registry's URI or an ARM id."""
    try:
        asset = parse_reference(reference if is_reference(reference) else PREFIX + reference)
    except InvalidReferenceError:
        return reference, None
    return (asset.name, asset.version) if isinstance(asset, AssetReference) else (reference, None)


def advice(reference: str) -> str:
    """Say how to tell what is in an environment."""
    name, _ = parts(reference)
    return f"map it in {FILE} beside the deployment: `azureml:{name}: {{conda_file: conda.yaml}}` or `{{image: TAG}}`"


def _mappings(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "batchtwin"
    for path in (folder / FILE, config / FILE, Path(str(files("batchtwin.environments") / OURS))):
        if path.is_file():
            yield path, _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestedEnvironmentError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise RequestedEnvironmentError(f"{path}: not a mapping of azureml:NAME to conda_file or image")
    return content


def _entry(value: Any, reference: str, path: Path) -> NamedEnvironment:
    fields = {"conda_file": value} if isinstance(value, str) else value
    if isinstance(fields, dict) and isinstance(fields.get("image"), str):
        return NamedEnvironment(image=fields["image"])
    conda = fields.get("conda_file") if isinstance(fields, dict) else None
    if isinstance(conda, dict):
        return NamedEnvironment(parse_conda(conda, f"{path}: {reference}", path.parent))
    if isinstance(conda, str):
        return NamedEnvironment(read_conda(path.parent / conda))
    raise RequestedEnvironmentError(f"{path}: {reference}: give conda_file (a path or its content) or image")
