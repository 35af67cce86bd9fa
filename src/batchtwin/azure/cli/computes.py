"""`az ml compute`."""

from __future__ import annotations

from typing import Annotated, Any

from batchtwin.azure.cli import options
from batchtwin.azure.cli import views as shapes
from batchtwin.azure.cli.documents import ComputeDocument
from batchtwin.azure.cli.files import Source, given_pairs, pairs
from batchtwin.azure.cli.options import option
from batchtwin.workspace.workspace import Workspace


def create(
    workspace: Workspace,
    file: options.File = None,
    name: options.AnyName = None,
    type: Annotated[str | None, option("--type", "-t", help="AmlCompute.")] = None,
    size: Annotated[str | None, option("--size", help="VM size; kept and shown.")] = None,
    tier: Annotated[str | None, option("--tier", help="dedicated or low_priority.")] = None,
    min_instances: Annotated[int | None, option("--min-instances", help="The fewest nodes. Default: 0.")] = None,
    max_instances: Annotated[int | None, option("--max-instances", help="The most nodes. Default: 4.")] = None,
    idle_time: Annotated[
        int | None, option("--idle-time-before-scale-down", "-d", help="Seconds. Default: 120.")
    ] = None,
    description: options.Description = None,
    tags: options.Tags = None,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Create a compute target."""
    flags = {
        "name": name,
        "type": type,
        "size": size,
        "tier": tier,
        "min_instances": min_instances,
        "max_instances": max_instances,
        "idle_time_before_scale_down": idle_time,
        "description": description,
        "tags": given_pairs("--tags", tags),
    }
    document = Source.read(file, pairs("--set", sets), flags).check(ComputeDocument)
    compute = workspace.computes.create(
        document.name,
        size=document.size,
        min_instances=document.min_instances,
        max_instances=document.max_instances,
        idle_time=document.idle_time_before_scale_down,
        type=document.type,
    )
    return shapes.compute(compute)


def show(workspace: Workspace, name: options.ComputeName) -> dict[str, Any]:
    """Show details for a compute target."""
    return shapes.compute(workspace.computes.get(name))


def list_all(
    workspace: Workspace,
    max_results: options.MaxResults = None,
    type: Annotated[str | None, option("--type", help="Only of this type.")] = None,
) -> list[dict[str, Any]]:
    """List the compute targets."""
    computes = [shapes.compute(compute) for compute in workspace.computes.list()]
    return [row for row in computes if type is None or row["type"] == type.lower()][:max_results]


def delete(workspace: Workspace, name: options.ComputeName) -> None:
    """Delete a compute target."""
    workspace.computes.get(name)
    workspace.computes.delete(name)
