"""`az ml batch-endpoint`.

Source of what an invocation takes: "Create jobs and input data for batch endpoints", https://learn.microsoft.com/
azure/machine-learning/how-to-access-data-batch-endpoints-jobs: `--input`, or `--set inputs.NAME.type=...
inputs.NAME.path=...`, or `-f`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from batchtwin.azure.cli import options
from batchtwin.azure.cli import views as shapes
from batchtwin.azure.cli.documents import EndpointDocument, InvocationDocument, JobInputDocument, JobOutputDocument
from batchtwin.azure.cli.files import Source, pairs, with_changes, yaml_path
from batchtwin.azure.cli.options import option
from batchtwin.deployment.reference import is_reference
from batchtwin.errors import UsageError
from batchtwin.inputs.public_web import ALLOW_PRIVATE
from batchtwin.workspace.datastores import DEFAULT
from batchtwin.workspace.jobs.invocation import Invocation
from batchtwin.workspace.workspace import Workspace

# Keys of `--set` for the job, and for its output.
OF_THE_JOB = ("job_name", "experiment_name")
OF_THE_DATASET = ("output_dataset.datastore_id", "output_dataset.path")


def create(
    workspace: Workspace,
    file: options.File = None,
    name: options.AnyName = None,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Create an endpoint, or give one that exists new settings."""
    document = Source.read(file, pairs("--set", sets), {"name": name}).check(EndpointDocument)
    return shapes.endpoint(workspace.endpoints.create(document.name, **_values(document)))


def _values(document: EndpointDocument) -> dict[str, Any]:
    default = document.defaults.deployment_name
    return {**document.model_dump(include={"description", "tags", "properties"}), "default_deployment": default}


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
        list[str] | None, option("--defaults", help="Where invocations go: deployment_name=NAME.")
    ] = None,
    sets: options.Set = None,
    add: options.Add = None,
    remove: options.Remove = None,
    force_string: options.ForceString = False,
) -> dict[str, Any]:
    """Update the description, tags, properties or defaults of an endpoint."""
    values = Source.read(file).data
    name = name or values.get("name")
    if name is None:
        raise UsageError("the following arguments are required: --name/-n, or --file/-f with a name")
    routed = [f"defaults.{pair}" for pair in defaults or ()]
    now = shapes.endpoint(workspace.endpoints.get(name.lower()))
    now.pop("resourceGroup")
    data = with_changes(now | values | {"name": name}, [*(sets or ()), *routed], add, remove, force_string)
    document = Source(None, data).check(EndpointDocument)
    return shapes.endpoint(workspace.endpoints.update(document.name, **_values(document)))


def delete(workspace: Workspace, name: options.EndpointName) -> None:
    """Delete an endpoint with its deployments; jobs and what they wrote stay."""
    workspace.endpoints.get(name)
    workspace.endpoints.delete(name)


def invoke(
    workspace: Workspace,
    name: options.EndpointName,
    deployment_name: Annotated[
        str | None, option("--deployment-name", "-d", type=str.lower, help="The deployment to target.")
    ] = None,
    input: Annotated[
        str | None, option("--input", help="azureml:NAME:VERSION, a path in a datastore, https://..., or a local path.")
    ] = None,
    input_type: Annotated[str | None, option("--input-type", help="uri_folder or uri_file.")] = None,
    inputs: Annotated[list[str] | None, option("--inputs", help="As --set inputs: NAME.KEY=VALUE.")] = None,
    outputs: Annotated[list[str] | None, option("--outputs", help="As --set outputs: NAME.KEY=VALUE.")] = None,
    file: Annotated[Path | None, option("--file", "-f", help="YAML file with inputs and outputs.")] = None,
    output_path: Annotated[str | None, option("--output-path", help="Where the output goes, too.")] = None,
    instance_count: Annotated[int | None, option("--instance-count", "-c", help="Nodes.")] = None,
    mini_batch_size: Annotated[int | None, option("--mini-batch-size", "-m", help="Files in a mini-batch.")] = None,
    job_name: Annotated[str | None, option("--job-name", help="Name of the job.")] = None,
    experiment_name: Annotated[str | None, option("--experiment-name", help="Experiment of the job.")] = None,
    allow_private: Annotated[
        bool, option("--allow-private", help="Let input on the web be of this machine or a private network.")
    ] = False,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Invoke an endpoint: start a batch scoring job, and return at once."""
    if allow_private:
        os.environ[ALLOW_PRIVATE] = "1"
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


def complete(flags: Invocation, file: Path | None, sets: Sequence[str]) -> Invocation:
    """Return what the flags say, completed by `--set` and the file: input, output and settings of this job.

    Raises:
        DeploymentError: the file is invalid.
        UsageError: more than one input or output.
    """
    split = pairs("--set", sets)
    nested = {key: text for key, text in split.items() if key.startswith(("inputs.", "outputs."))}
    document = Source.read(file, nested).check(InvocationDocument)
    folder = file.absolute().parent if file else Path.cwd()
    input, input_type = flags.input, flags.input_type
    if input is None:
        input, input_type = _only_input(document.inputs, input_type, folder)
    elif document.inputs:
        raise UsageError("--input does not go with inputs in --set or --file; give one input")
    output = (flags.output_path, None) if flags.output_path else _only_output(document.outputs, folder)
    if output[0] is None:
        output = (_dataset(split), "uri_folder")
    known_keys = {*nested, *OF_THE_JOB, *OF_THE_DATASET}
    return replace(
        flags,
        input=input,
        input_type=input_type,
        output_path=output[0],
        output_type=output[1] if output[0] else None,
        job_name=flags.job_name or split.get("job_name"),
        experiment=flags.experiment or split.get("experiment_name"),
        overrides={key.removeprefix("compute."): text for key, text in split.items() if key not in known_keys},
    )


def _dataset(sets: Mapping[str, str]) -> str | None:
    """Return the output in the form of older pages: `output_dataset.datastore_id=ID output_dataset.path=PATH`."""
    store, path = (sets.get(key) for key in OF_THE_DATASET)
    if not path:
        return None
    store = store or f"azureml://datastores/{DEFAULT}"
    store = store if is_reference(store) else f"azureml://datastores/{store}"
    return f"{store.rstrip('/')}/paths/{path.strip('/')}"


def _only_input(inputs: dict[str, JobInputDocument], kind: str | None, folder: Path) -> tuple[str | None, str | None]:
    if len(inputs) > 1:
        raise UsageError(f"a model deployment takes one input; given are {', '.join(sorted(inputs))}")
    for job_input in inputs.values():
        if job_input.path is not None:
            return yaml_path(job_input.path, folder), job_input.type or kind
        return _literal(job_input.default), job_input.type or "string"
    return None, kind


def _only_output(outputs: dict[str, JobOutputDocument], folder: Path) -> tuple[str | None, str | None]:
    """Return place and type of the one output. Its name is the user's choice [A], like that of the input."""
    if len(outputs) > 1:
        raise UsageError(f"a model deployment has one output; given are {', '.join(sorted(outputs))}")
    for job_output in outputs.values():
        path = yaml_path(job_output.path, folder) if job_output.path else None
        return path, job_output.type
    return None, None


def _literal(value: Any) -> str | None:
    return None if value is None else str(value)
