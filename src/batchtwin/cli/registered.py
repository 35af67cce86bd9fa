"""Environments that the workspace of this folder has registered, for commands that take a deployment YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchtwin.environments.named import NamedEnvironment


def registered(reference: str) -> NamedEnvironment | None:
    """Return what a reference stands for in the workspace; None if it has no such environment, or there is none.

    Raises:
        BatchTwinError: the workspace cannot be opened, or the registered conda file cannot be read.
    """
    try:
        from batchtwin.workspace.database.store import Store
        from batchtwin.workspace.workspace import Workspace
    except ModuleNotFoundError:  # the extra that a workspace needs
        return None
    if not Store.exists():
        return None
    with Workspace.open() as workspace:
        return workspace.environments.named(reference)
