"""Environments that a deployment names (`azureml:NAME:VERSION`), and the files that define them.

First the workspace's registrations, then `environments.yml` beside the deployment, then the user's
(`~/.config/batchtwin/environments.yml`), then ours, with the curated names of Microsoft's documentation. Each file maps
`azureml:NAME[:VERSION]` to a conda file or an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from batchtwin import user_folders
from batchtwin.deployment.reference import PREFIX, AssetReference, InvalidReferenceError, is_reference, parse_reference
from batchtwin.environments.requested import RequestedEnvironment, RequestedEnvironmentError, parse_conda, read_conda
from batchtwin_node.codec import value_object

FILE = "environments.yml"
CURATED_FILE = "curated.yml"


@value_object
class NamedEnvironment:
    """The definition of a name: requirements, or an image; neither for a build context."""

    requested: RequestedEnvironment | None = None
    image: str | None = None


# Looks up a reference in a workspace; None if it has no such environment.
Registered = Callable[[str], NamedEnvironment | None]


def look_up(reference: str, folder: Path, registered: Registered | None = None) -> NamedEnvironment | None:
    """Return the definition of a reference; None if neither the workspace nor a file has it.

    Raises:
        RequestedEnvironmentError: a mapping file, or the conda file that it names, cannot be read.
    """
    environment = registered(reference) if registered else None
    if environment is not None:
        return environment
    for path in _mapping_files(folder):
        value = _value(path, reference)
        if value is not None:
            return _entry(value, reference, path)
    return None


def mapped_beside(reference: str, folder: Path) -> tuple[str | None, str | dict[str, Any] | None] | None:
    """Return image and conda file (its path or its content) for a reference in the `environments.yml` of `folder`.

    None if the file does not have it, or does not exist.

    Raises:
        RequestedEnvironmentError: the file, or the conda file that it names, cannot be read.
    """
    path = folder / FILE
    value = _value(path, reference) if path.is_file() else None
    if value is None:
        return None
    _entry(value, reference, path)  # refuses invalid entries
    fields = {"conda_file": value} if isinstance(value, str) else value
    conda = fields.get("conda_file")
    return fields.get("image"), str(folder / conda) if isinstance(conda, str) else conda


def _value(path: Path, reference: str) -> Any:
    """Return the entry of a mapping file for a reference: for its version, else for its name."""
    name, version = parts(reference)
    entries = {parts(str(key)): value for key, value in _read(path).items()}
    return entries.get((name, version), entries.get((name, None)))


def parts(reference: str) -> tuple[str, str | None]:
    """Return name and version of `azureml:NAME:VERSION`, of `NAME@latest` and of a registry's URI or an ARM id."""
    try:
        asset = parse_reference(reference if is_reference(reference) else PREFIX + reference)
    except InvalidReferenceError:
        return reference, None
    return (asset.name, asset.version) if isinstance(asset, AssetReference) else (reference, None)


def advice(reference: str) -> str:
    """Say how to define an environment."""
    name, _ = parts(reference)
    return (
        f"register it (`batchtwin ml environment create`), or map it in {FILE} beside the deployment: "
        f"`azureml:{name}: {{conda_file: conda.yaml}}` or `{{image: TAG}}`"
    )


def _mapping_files(folder: Path) -> Iterator[Path]:
    users = user_folders.config() / "batchtwin"
    paths = (folder / FILE, users / FILE, Path(str(files("batchtwin.environments") / CURATED_FILE)))
    return (path for path in paths if path.is_file())


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
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
        source = f"curated.yml of batchtwin: {reference}" if path.name == CURATED_FILE else f"{path}: {reference}"
        return NamedEnvironment(parse_conda(conda, source, path.parent))
    if isinstance(conda, str):
        return NamedEnvironment(read_conda(path.parent / conda))
    raise RequestedEnvironmentError(f"{path}: {reference}: give conda_file (a path or its content) or image")
