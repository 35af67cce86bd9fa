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
    """Return what a reference stands for in the workspace; None if it has no such environment, or there is none.

    Raises:
        BatchTwinError: the workspace cannot be opened, or the registered conda file cannot be read.
    """
    return _in_workspace(lambda workspace: workspace.environments.named(reference))


def find_registered(deployment: Path, model: str | None, overrides: Mapping[str, str]) -> Path | str | None:
    """Return `model` (`--model`) as the location that it is; without it, where the workspace keeps the registered one.

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
    return _in_workspace(lambda workspace: _model(workspace, reference))


def _model(workspace: Workspace, reference: str) -> Path | None:
    from batchtwin.workspace.errors import InvalidError, NotFoundError

    try:
        return workspace.assets.resolve("model", reference).path
    except (InvalidError, NotFoundError):
        return None


def _in_workspace(look_up: Callable[[Workspace], Result | None]) -> Result | None:
    """Look something up in the workspace; None if there is none. It is not made."""
    try:
        from batchtwin.workspace.database.store import Store
        from batchtwin.workspace.workspace import Workspace
    except ModuleNotFoundError:  # the extra that a workspace needs
        return None
    if not Store.exists():
        return None
    with Workspace.open() as workspace:
        return look_up(workspace)
