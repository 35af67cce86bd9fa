"""The model of a deployment YAML that names one by its registration: looked up in the local workspace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batchtwin.inputs.location import parse_location


def find_registered(deployment: Path, model: str | None, overrides: Mapping[str, str]) -> Path | str | None:
    """Return `model` (`--model`) as the location that it is; without it, where the workspace keeps the registered one.

    None if the deployment brings its model along, or the workspace does not have it; there may be no workspace.

    Raises:
        DeploymentError: the YAML cannot be used.
        UsageError: `model` holds a key, or is a reference.
    """
    if model is not None:
        return parse_location(model)
    from batchtwin.deployment.schema import Deployment

    reference = Deployment.load(deployment, overrides).model
    return _registered(reference) if isinstance(reference, str) else None


def _registered(reference: str) -> Path | None:
    try:
        from batchtwin.workspace.database.store import Store
        from batchtwin.workspace.errors import InvalidError, NotFoundError
        from batchtwin.workspace.workspace import Workspace
    except ModuleNotFoundError:  # the extra that a workspace needs
        return None
    if not Store.exists():
        return None
    with Workspace.open() as workspace:
        try:
            return workspace.assets.resolve("model", reference).path
        except (InvalidError, NotFoundError):
            return None
