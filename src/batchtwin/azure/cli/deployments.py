"""`az ml batch-deployment`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from batchtwin.azure.cli import options
from batchtwin.azure.cli import views as shapes
from batchtwin.azure.cli.command import warn
from batchtwin.azure.cli.files import Source, drop, overrides, refuse_add
from batchtwin.errors import DeploymentError, UsageError
from batchtwin.workspace.entities import DeploymentRecord
from batchtwin.workspace.workspace import Workspace


def create(
    workspace: Workspace,
    file: options.NeededFile,
    name: options.AnyName = None,
    endpoint_name: options.AnyEndpoint = None,
    set_default: options.SetDefault = False,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Create a deployment, or give one that exists new settings."""
    record = workspace.deployments.create(
        file, overrides(sets, False), endpoint=endpoint_name, name=name, set_default=set_default
    )
    return _shown(workspace, record)


def _shown(workspace: Workspace, record: DeploymentRecord) -> dict[str, Any]:
    """Print warnings about the jobs of a new deployment; return what is printed of it."""
    for warning in workspace.deployments.warnings(record):
        warn(warning)
    return shapes.deployment(record)


def show(workspace: Workspace, name: options.DeploymentName, endpoint_name: options.OfEndpoint) -> dict[str, Any]:
    """Show a deployment."""
    return shapes.deployment(workspace.deployments.get(endpoint_name, name))


def list_all(workspace: Workspace, endpoint_name: options.OfEndpoint) -> list[dict[str, Any]]:
    """List the deployments of an endpoint."""
    return [shapes.deployment(deployment) for deployment in workspace.deployments.list(endpoint_name)]


def update(
    workspace: Workspace,
    name: options.AnyName = None,
    endpoint_name: options.AnyEndpoint = None,
    file: options.File = None,
    sets: options.Set = None,
    add: options.Add = None,
    remove: options.Remove = None,
    force_string: options.ForceString = False,
) -> dict[str, Any]:
    """Update a deployment: from a file, or with some properties changed."""
    refuse_add(add)
    data = Source.read(file).data
    name, endpoint_name = name or data.get("name"), endpoint_name or data.get("endpoint_name")
    if not name or not endpoint_name:
        raise UsageError("the following arguments are required: --name/-n, --endpoint-name/-e, or a file with both")
    now = workspace.deployments.get(str(endpoint_name).lower(), str(name).lower())
    with TemporaryDirectory() as folder:
        path = file or _written(now, Path(folder), remove or [])
        try:
            record = workspace.deployments.create(
                path, overrides(sets, force_string), endpoint=endpoint_name, name=name
            )
        except DeploymentError as error:
            if file:
                raise
            # The file is ours: its errors come from the options.
            wrong = [f"--set {problem.key}: {problem.text}" for problem in error.problems]
            raise UsageError("\n".join(wrong)) from error
    return _shown(workspace, record)


def _written(deployment: DeploymentRecord, folder: Path, remove: list[str]) -> Path:
    """Write a deployment as a file that makes it again."""
    data = deployment.spec.model_dump(mode="json", exclude_unset=True) | {"type": "model"}
    if deployment.code:
        data["code_configuration"]["code"] = str(deployment.code.path)
    data.setdefault("settings", {}).setdefault("mini_batch_size", deployment.spec.settings.mini_batch_size)
    for dotted in remove:
        drop(data, dotted)
    path = folder / "deployment.yml"
    path.write_text(yaml.safe_dump(data))
    return path


def delete(
    workspace: Workspace,
    name: options.DeploymentName,
    endpoint_name: options.OfEndpoint,
) -> None:
    """Delete a deployment."""
    workspace.deployments.get(endpoint_name, name)
    workspace.deployments.delete(endpoint_name, name)


def list_jobs(
    workspace: Workspace, name: options.DeploymentName, endpoint_name: options.OfEndpoint
) -> list[dict[str, Any]]:
    """List the batch scoring jobs of a deployment, the newest first."""
    workspace.deployments.get(endpoint_name, name)
    return [shapes.invoked(job) for job in workspace.jobs.list(endpoint=endpoint_name, deployment=name)]
