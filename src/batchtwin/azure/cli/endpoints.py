"""`az ml batch-endpoint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option, Typer

from batchtwin.azure.cli import options
from batchtwin.azure.cli import views as shapes
from batchtwin.azure.cli.command import confirm, group, verb
from batchtwin.azure.cli.documents import EndpointDocument
from batchtwin.azure.cli.files import Source, changed, pairs
from batchtwin.azure.cli.invocation import complete
from batchtwin.errors import UsageError
from batchtwin.workspace.jobs.invocation import Invocation
from batchtwin.workspace.workspace import Workspace


def add_to(ml: Typer) -> None:
    """Add the group to `az ml`."""
    endpoint = group(ml, "batch-endpoint", "Manage Azure ML batch endpoints.")
    verb(endpoint, "create", ignored_flags=("--no-wait",))(create)
    verb(endpoint, "show")(show)
    verb(endpoint, "list")(list_all)
    verb(endpoint, "update", ignored_flags=("--no-wait",))(update)
    verb(endpoint, "delete", ignored_flags=("--no-wait",))(delete)
    verb(endpoint, "invoke")(invoke)
    verb(endpoint, "list-jobs")(list_jobs)


def create(
    workspace: Workspace,
    file: options.File = None,
    name: options.AnyName = None,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Create an endpoint, or give one that exists new settings."""
    asked = Source.read(file, pairs("--set", sets), {"name": name}).check(EndpointDocument)
    made = workspace.endpoints.create(
        asked.name,
        description=asked.description,
        tags=asked.tags,
        properties=asked.properties,
        default_deployment=asked.defaults.deployment_name,
    )
    return shapes.endpoint(made)


def show(workspace: Workspace, name: options.EndpointName) -> dict[str, Any]:
    """Show details for an endpoint."""
    return shapes.endpoint(workspace.endpoints.get(name))


def list_all(workspace: Workspace) -> list[dict[str, Any]]:
    """List endpoints."""
    return [shapes.endpoint(endpoint) for endpoint in workspace.endpoints.list()]


def update(
    workspace: Workspace,
    name: options.AnyName = None,
    file: options.File = None,
    defaults: Annotated[
        list[str] | None, Option("--defaults", metavar="deployment_name=NAME", help="Where invocations go.")
    ] = None,
    sets: options.Set = None,
    add: options.Add = None,
    remove: options.Remove = None,
    force_string: options.ForceString = False,
) -> dict[str, Any]:
    """Update the description, tags, properties or defaults of an endpoint."""
    given = Source.read(file).data
    name = name or given.get("name")
    if name is None:
        raise UsageError("the following arguments are required: --name/-n, or --file/-f with a name")
    routed = [f"defaults.{pair}" for pair in defaults or ()]
    now = shapes.endpoint(workspace.endpoints.get(name.lower()))
    now.pop("resourceGroup")
    data = changed(now | given | {"name": name}, [*(sets or ()), *routed], add, remove, force_string)
    asked = Source(None, data).check(EndpointDocument)
    made = workspace.endpoints.update(
        asked.name,
        description=asked.description,
        tags=asked.tags,
        properties=asked.properties,
        default_deployment=asked.defaults.deployment_name,
    )
    return shapes.endpoint(made)


def delete(workspace: Workspace, name: options.EndpointName, yes: options.Yes = False) -> None:
    """Delete an endpoint with its deployments; jobs and what they wrote stay."""
    workspace.endpoints.get(name)
    confirm(yes)
    workspace.endpoints.delete(name)


def invoke(
    workspace: Workspace,
    name: options.EndpointName,
    deployment_name: Annotated[
        str | None, Option("--deployment-name", "-d", parser=str.lower, help="The deployment to target.")
    ] = None,
    input: Annotated[
        str | None, Option("--input", help="azureml:NAME:VERSION, azureml:NAME@latest, or a local file or folder.")
    ] = None,
    input_type: Annotated[str | None, Option("--input-type", help="uri_folder or uri_file.")] = None,
    inputs: Annotated[
        list[str] | None, Option("--inputs", metavar="NAME.KEY=VALUE...", help="As --set inputs.")
    ] = None,
    outputs: Annotated[
        list[str] | None, Option("--outputs", metavar="NAME.KEY=VALUE...", help="As --set outputs.")
    ] = None,
    file: Annotated[Path | None, Option("--file", "-f", metavar="YAML", help="File with inputs and outputs.")] = None,
    output_path: Annotated[str | None, Option("--output-path", help="Where the output goes, too.")] = None,
    instance_count: Annotated[int | None, Option("--instance-count", "-c", help="Nodes.")] = None,
    mini_batch_size: Annotated[int | None, Option("--mini-batch-size", "-m", help="Files in a mini-batch.")] = None,
    job_name: Annotated[str | None, Option("--job-name", help="Name of the job.")] = None,
    experiment_name: Annotated[str | None, Option("--experiment-name", help="Experiment of the job.")] = None,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Invoke an endpoint: start a batch scoring job, and return at once."""
    flags = Invocation(
        name,
        deployment=deployment_name,
        input=input,
        input_type=input_type,
        job_name=job_name,
        experiment=experiment_name,
        output_path=output_path,
        instance_count=instance_count,
        mini_batch_size=mini_batch_size,
    )
    dotted = [*(f"inputs.{pair}" for pair in inputs or ()), *(f"outputs.{pair}" for pair in outputs or ())]
    job = workspace.jobs.invoke(complete(flags, file, [*(sets or ()), *dotted]))
    return shapes.invoked(job)


def list_jobs(workspace: Workspace, name: options.EndpointName) -> list[dict[str, Any]]:
    """List the batch scoring jobs of an endpoint, the newest first."""
    workspace.endpoints.get(name)
    return [shapes.invoked(job) for job in workspace.jobs.list(endpoint=name)]
