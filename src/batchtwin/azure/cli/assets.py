"""`az ml model`, `az ml data` and `az ml environment`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from batchtwin.azure.cli import options
from batchtwin.azure.cli import views as shapes
from batchtwin.azure.cli.command import CommandError
from batchtwin.azure.cli.documents import DataDocument, EnvironmentDocument, ModelDocument
from batchtwin.azure.cli.files import REMOTE, Source, given_pairs, pairs, yaml_path
from batchtwin.azure.cli.options import option
from batchtwin.deployment.reference import AssetReference, is_reference, parse_reference
from batchtwin.errors import UsageError
from batchtwin.workspace.entities import Asset, Kind, Metadata
from batchtwin.workspace.errors import NotFoundError
from batchtwin.workspace.jobs.results import copy_below
from batchtwin.workspace.run_artifacts import run_artifacts
from batchtwin.workspace.workspace import Workspace

NEEDS_VERSION = "Must provide either version or label."

AssetPath = Annotated[str | None, option("--path", "-p", help="Where the file or folder is.")]
ModelType = Annotated[str | None, option("--type", "-t", help="custom_model, mlflow_model or triton_model.")]
DataType = Annotated[str | None, option("--type", "-t", help="uri_folder, uri_file or mltable.")]


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
    local_path = yaml_path(path, Path.cwd()) if path else None
    return {"path": local_path, "tags": given_pairs("--tags", tags), **others}


def _create(
    workspace: Workspace, kind: Literal["model", "data"], document: ModelDocument | DataDocument
) -> dict[str, Any]:
    properties = document.properties if isinstance(document, ModelDocument) else {}
    with run_artifacts(document.path, workspace.jobs.mlflow_uri()) as logged:
        path = logged or _local(workspace, document.path)
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
    """Return the file or folder on this machine; None for an address that is only recorded."""
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


def _find(workspace: Workspace, kind: Kind, name: str, version: str | None, label: str | None) -> Asset:
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
    return _list(workspace, "model", name, max_results, archived_only, include_archived)


def list_data(
    workspace: Workspace,
    name: options.AnyName = None,
    max_results: options.MaxResults = None,
    archived_only: options.ArchivedOnly = False,
    include_archived: options.IncludeArchived = False,
) -> list[dict[str, Any]]:
    """List data assets; with a name, all its versions."""
    return _list(workspace, "data", name, max_results, archived_only, include_archived)


def _list(
    workspace: Workspace, kind: Kind, name: str | None, most: int | None, archived_only: bool, include_archived: bool
) -> list[dict[str, Any]]:
    assets = workspace.assets.list(kind, name, include_archived=archived_only or include_archived)
    view = (shapes.environment if kind == "environment" else shapes.asset) if name else shapes.container
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
    _set_archived(workspace, "model", name, version, label, True)


def create_environment(
    workspace: Workspace,
    file: options.File = None,
    name: options.AnyName = None,
    version: options.Version = None,
    image: Annotated[str | None, option("--image", "-i", help="The image to start from.")] = None,
    conda_file: Annotated[str | None, option("--conda-file", "-c", help="A conda file.")] = None,
    build_context: Annotated[str | None, option("--build-context", "-b", help="A folder with a Dockerfile.")] = None,
    dockerfile_path: Annotated[str | None, option("--dockerfile-path", "-d", help="In the build context.")] = None,
    os_type: Annotated[str | None, option("--os-type", help="Linux or Windows.")] = None,
    description: options.Description = None,
    tags: options.Tags = None,
    sets: options.Set = None,
) -> dict[str, Any]:
    """Create an environment: an image with a conda file or without one, or a build context."""
    folder = Path.cwd()
    build = {"path": yaml_path(build_context, folder)} if build_context else None
    if build and dockerfile_path:
        build["dockerfile_path"] = dockerfile_path
    flags = {
        **{"name": name, "version": version, "image": image, "build": build, "os_type": os_type},
        **{"conda_file": yaml_path(conda_file, folder) if conda_file else None},
        **{"description": description, "tags": given_pairs("--tags", tags)},
    }
    source = Source.read(file, pairs("--set", sets), flags)
    document = source.check(EnvironmentDocument)
    if document.build is None and dockerfile_path:
        raise UsageError("--dockerfile-path: goes with --build-context; add that, or leave it out")
    asset = workspace.environments.create(
        document.name,
        version=document.version,
        image=document.image,
        conda=_conda_text(document.conda_file, source.folder),
        context=_context(document, source.folder),
        dockerfile=document.build.dockerfile_path if document.build else None,
        metadata=Metadata(document.description or "", document.tags),
    )
    return shapes.environment(asset)


def _conda_text(conda: str | dict[str, Any] | None, folder: Path) -> str | None:
    if isinstance(conda, str):
        return (folder / conda).read_text(encoding="utf-8")
    return None if conda is None else json.dumps(conda)


def _context(document: EnvironmentDocument, folder: Path) -> Path | str | None:
    if document.build is None:
        return None
    path = document.build.path
    return path if REMOTE.match(path) else folder / path


def show_environment(
    workspace: Workspace, name: options.EnvironmentName, version: options.Version = None, label: options.Label = None
) -> dict[str, Any]:
    """Show details for an environment."""
    return shapes.environment(_find(workspace, "environment", name, version, label))


def list_environments(
    workspace: Workspace,
    name: options.AnyName = None,
    max_results: options.MaxResults = None,
    archived_only: options.ArchivedOnly = False,
    include_archived: options.IncludeArchived = False,
) -> list[dict[str, Any]]:
    """List environments; with a name, all its versions."""
    return _list(workspace, "environment", name, max_results, archived_only, include_archived)


def archive_environment(
    workspace: Workspace, name: options.EnvironmentName, version: options.Version = None, label: options.Label = None
) -> None:
    """Archive an environment, or one version of it: lists leave it out. Deployments that have it keep it."""
    _set_archived(workspace, "environment", name, version, label, True)


def restore_environment(
    workspace: Workspace, name: options.EnvironmentName, version: options.Version = None, label: options.Label = None
) -> None:
    """Undo `archive`."""
    _set_archived(workspace, "environment", name, version, label, False)


def _set_archived(
    workspace: Workspace, kind: Kind, name: str, version: str | None, label: str | None, archived: bool
) -> None:
    if label:
        version = _find(workspace, kind, name, version, label).version
    workspace.assets.archive(kind, name, version, archived)
