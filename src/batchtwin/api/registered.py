"""Models and environments that the workspace of this folder has registered, for commands that take a deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from batchtwin.inputs.location import parse_location

if TYPE_CHECKING:
    from batchtwin.environments.named import NamedEnvironment
    from batchtwin.workspace.workspace import Workspace

Result = TypeVar("Result")


def registered(reference: str) -> NamedEnvironment | None:
    """Return the environment in the workspace that a reference names; None without it, or without a workspace.

    Raises:
        BatchTwinError: the workspace cannot be opened, or the registered conda file cannot be read.
    """
    return in_workspace(lambda workspace: workspace.environments.definition(reference))


def find_registered(deployment: Path, model: str | None, overrides: Mapping[str, str]) -> Path | str | None:
    """Return the location of `model` (`--model`); without it, that of the deployment's registered model.

    None if the deployment brings its model along, or the workspace does not have it; there may be no workspace.

    Raises:
        DeploymentError: the YAML cannot be used.
        UsageError: `model` holds a key, or is a reference.
        BatchTwinError: the workspace cannot be opened.
    """
    if model is not None:
        return parse_location(model)
    from batchtwin.deployment.schema import Deployment

    reference = Deployment.load(deployment, overrides).model
    if not isinstance(reference, str):
        return None
    return in_workspace(lambda workspace: _model(workspace, reference))


def _model(workspace: Workspace, reference: str) -> Path | None:
    from batchtwin.workspace.errors import InvalidError, NotFoundError

    try:
        return workspace.assets.resolve("model", reference).path
    except (InvalidError, NotFoundError):
        return None


def in_workspace(look_up: Callable[[Workspace], Result | None]) -> Result | None:
    """Look something up in the workspace; None if there is no workspace. None is created."""
    try:
        from batchtwin.workspace.database.store import Store
        from batchtwin.workspace.workspace import Workspace
    except ModuleNotFoundError:  # the extra that a workspace needs
        return None
    if not Store.exists():
        return None
    with Workspace.open() as workspace:
        return look_up(workspace)
