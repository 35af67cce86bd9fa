"""`az ml model` and `az ml data`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option, Typer

from batchtwin.azure.cli import options
from batchtwin.azure.cli import views as shapes
from batchtwin.azure.cli.command import CommandError, group, verb
from batchtwin.azure.cli.documents import DataDocument, ModelDocument
from batchtwin.azure.cli.files import REMOTE, Source, given_pairs, located, pairs
from batchtwin.deployment.reference import AssetReference, is_reference, parse_reference
from batchtwin.errors import UsageError
from batchtwin.workspace.entities import Asset, Metadata
from batchtwin.workspace.errors import NotFoundError
from batchtwin.workspace.jobs.results import copy_below
from batchtwin.workspace.workspace import Workspace

REGISTRY = "--registry-name"
NEEDS_VERSION = "Must provide either version or label."

AssetPath = Annotated[str | None, Option("--path", "-p", help="Where the file or folder is.")]
ModelType = Annotated[str | None, Option("--type", "-t", help="custom_model, mlflow_model or triton_model.")]
DataType = Annotated[str | None, Option("--type", "-t", help="uri_folder, uri_file or mltable.")]


def add_to(ml: Typer) -> None:
    """Add the two groups to `az ml`."""
    model = group(ml, "model", "Manage Azure ML models.")
    verb(model, "create", ignored=("--datastore", REGISTRY, "--stage"), ignored_flags=("--no-wait",))(create_model)
    verb(model, "show", ignored=(REGISTRY,))(show_model)
    verb(model, "list", ignored=(REGISTRY, "--stage"))(list_models)
    verb(model, "download", ignored=(REGISTRY,))(download_model)
    verb(model, "archive", ignored=(REGISTRY,))(archive_model)
    data = group(ml, "data", "Manage Azure ML data assets.")
    unused_flags = ("--no-wait", "--skip-validation")
    verb(data, "create", ignored=("--datastore", "--datastore-name -z", REGISTRY), ignored_flags=unused_flags)(
        create_data
    )
    verb(data, "show", ignored=(REGISTRY,))(show_data)
    verb(data, "list", ignored=(REGISTRY,))(list_data)


def create_model(
    workspace: Workspace,
    file: options.File = None,
    name: options.AnyName = None,
    version: options.Version = None,
    path: AssetPath = None,
    type: ModelType = None,
    description: options.Description = None,
    tags: options.Tags = None,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Create a model: a copy of a file or folder, under a name and a version."""
    flags = _flags(name=name, version=version, path=path, type=type, description=description, tags=tags)
    return _create(workspace, "model", Source.read(file, pairs("--set", sets), flags).check(ModelDocument))


def create_data(
    workspace: Workspace,
    file: options.File = None,
    name: options.AnyName = None,
    version: options.Version = None,
    path: AssetPath = None,
    type: DataType = None,
    description: options.Description = None,
    tags: options.Tags = None,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Create a data asset: a copy of a file or folder, or a public address, under a name and a version."""
    flags = _flags(name=name, version=version, path=path, type=type, description=description, tags=tags)
    return _create(workspace, "data", Source.read(file, pairs("--set", sets), flags).check(DataDocument))


def _flags(path: str | None, tags: list[str] | None, **others: object) -> dict[str, object]:
    here = located(path, Path.cwd()) if path else None
    return {"path": here, "tags": given_pairs("--tags", tags), **others}


def _create(
    workspace: Workspace, kind: Literal["model", "data"], document: ModelDocument | DataDocument
) -> dict[str, Any]:
    path = _local(workspace, document.path)
    properties = document.properties if isinstance(document, ModelDocument) else {}
    asset = workspace.assets.create(
        kind,
        document.name,
        path=path,
        uri=None if path else document.path,
        type=document.type,
        version=document.version,
        metadata=Metadata(document.description or "", document.tags, properties),
    )
    return shapes.asset(asset)


def _local(workspace: Workspace, path: str) -> Path | None:
    """Return the file or folder on this machine; None for an address that is only noted."""
    if not is_reference(path):
        return None if REMOTE.match(path) else Path(path)
    if isinstance(parse_reference(path), AssetReference):
        raise UsageError(f"{path[:300]}: names an asset; give a folder or file, or a path in a datastore")
    try:
        local = workspace.datastores.locate(path)
    except NotFoundError:
        return None
    return local if local.exists() else None


def show_model(
    workspace: Workspace, name: options.ModelName, version: options.Version = None, label: options.Label = None
) -> dict[str, Any]:
    """Show details for a model."""
    return shapes.asset(_find(workspace, "model", name, version, label))


def show_data(
    workspace: Workspace, name: options.DataName, version: options.Version = None, label: options.Label = None
) -> dict[str, Any]:
    """Show details for a data asset."""
    return shapes.asset(_find(workspace, "data", name, version, label))


def _find(
    workspace: Workspace, kind: Literal["model", "data"], name: str, version: str | None, label: str | None
) -> Asset:
    if version and label:
        raise UsageError("Cannot specify both version and label.")
    if not version and not label:
        raise UsageError(NEEDS_VERSION)
    return workspace.assets.get(kind, name, version, label)


def list_models(
    workspace: Workspace,
    name: options.AnyName = None,
    max_results: options.MaxResults = None,
    archived_only: options.ArchivedOnly = False,
    include_archived: options.IncludeArchived = False,
) -> list[dict[str, Any]]:
    """List models; with a name, all its versions."""
    models = workspace.assets.list("model", name, include_archived=archived_only or include_archived)
    return _listed(models, name, max_results, archived_only)


def list_data(
    workspace: Workspace,
    name: options.AnyName = None,
    max_results: options.MaxResults = None,
    archived_only: options.ArchivedOnly = False,
    include_archived: options.IncludeArchived = False,
) -> list[dict[str, Any]]:
    """List data assets; with a name, all its versions."""
    data = workspace.assets.list("data", name, include_archived=archived_only or include_archived)
    return _listed(data, name, max_results, archived_only)


def _listed(assets: Sequence[Asset], name: str | None, most: int | None, archived_only: bool) -> list[dict[str, Any]]:
    view = shapes.asset if name else shapes.container
    return [view(asset) for asset in assets if asset.archived or not archived_only][:most]


def download_model(
    workspace: Workspace, name: options.ModelName, version: options.Version = None, target: options.Target = Path()
) -> None:
    """Download all files of a model, to a folder named after it."""
    if version is None:
        raise UsageError("the following arguments are required: --version/-v")
    asset = workspace.assets.get("model", name, version)
    if asset.path is None:
        raise CommandError(f"model '{name}' is registered from {asset.properties.get('uri')}; it has no copy here")
    if asset.path.is_dir():
        copy_below(asset.path, target, f"{name}/{asset.path.name}")
    else:
        copy_below(asset.path.parent, target, name)


def archive_model(
    workspace: Workspace, name: options.ModelName, version: options.Version = None, label: options.Label = None
) -> None:
    """Archive a model, or one version of it: lists leave it out."""
    if label:
        version = _find(workspace, "model", name, version, label).version
    workspace.assets.archive("model", name, version)
