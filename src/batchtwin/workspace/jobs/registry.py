"""Versions of registered models in MLflow's registry: its pages lead from a job to its model and its training."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.deployment.model import read_model
from batchtwin.deployment.reference import ANONYMOUS
from batchtwin.engine.tracking.lineage import (
    MODEL_TAG,
    TRAINING_TAG,
    Origin,
    describe,
    link_input,
    training_origin,
)
from batchtwin.errors import BatchTwinError
from batchtwin.workspace.assets import Assets
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.entities import Asset, JobRecord
from batchtwin.workspace.jobs.job_yaml import NAME
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

# The tag of a version in MLflow's registry with the workspace's version: MLflow counts its versions itself.
VERSION_TAG = "workspace_version"
# MLflow's own, of a logged model that is registered.
VERSIONS_TAG = "mlflow.modelVersions"
MOST_VERSIONS = 100
NOT_IN_A_NAME = re.compile(r"[^\w-]", re.ASCII)


@value_object
class JobModel:
    """The model of a job. `name` is empty for one that came with its deployment."""

    name: str
    version: str
    path: Path

    @property
    def reference(self) -> str:
        """`NAME:VERSION`, else its path."""
        return f"{self.name}:{self.version}" if self.name else str(self.path)


def model_of(job: JobRecord) -> JobModel | None:
    """Return the job's model; None if its deployment cannot be read."""
    try:
        spec = json.loads((job.output / NAME).read_text(encoding="utf-8"))["model"]
        name, version, path = (str(spec[key]) for key in ("name", "version", "path"))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return JobModel("" if name.startswith(ANONYMOUS) else name, version, Path(path))


def link(client: MlflowClient, store: Store, run: str, job: JobRecord) -> str:
    """Link the run of a job with its model and the run that trained it; return that run, empty if unknown.

    Afterwards MLflow's registry has the registered versions of the model. What MLflow refuses is left out.
    """
    model = model_of(job)
    if model is None:
        return ""
    origin = _origin(client, model.path)
    number = ""
    with suppress(Exception):
        if model.name:
            version = _registered(client, store, model)
            number = str(version.version)
            origin = Origin(origin.run or version.run_id or "", origin.logged)
            link_input(client, run, _external(client, run, model, version))
    with suppress(Exception):
        client.set_tag(run, MODEL_TAG, model.reference)
        if origin.run:
            client.set_tag(run, TRAINING_TAG, origin.run)
        link_input(client, run, origin.logged)
        describe(client, run, "\n".join(_lines(job, model, number, origin.run)))
    return origin.run


def _origin(client: MlflowClient, path: Path) -> Origin:
    try:
        return training_origin(client, read_model(path))
    except BatchTwinError:
        return Origin()


def _lines(job: JobRecord, model: JobModel, number: str, training: str) -> list[str]:
    """Yield the description of a run, in Markdown: MLflow's pages make links of it."""
    page = f"[{model.reference}](#/models/{model.name}/versions/{number})" if number else f"`{model.reference}`"
    lines = [f"Batch job of deployment `{job.deployment}`, endpoint `{job.endpoint}`.", "", f"* Model: {page}"]
    if training:
        lines.append(f"* Trained in: [run {training}](#/runs/{training})")
    return [*lines, "* Report: `report.html` among the artifacts"]


def _registered(client: MlflowClient, store: Store, model: JobModel) -> ModelVersion:
    """Return the version in MLflow's registry; it and the earlier ones are added, in the workspace's order."""
    from mlflow.exceptions import MlflowException

    versions = {version.tags.get(VERSION_TAG): version for version in _versions(client, model.name)}
    if model.version in versions:
        return versions[model.version]
    with suppress(MlflowException):  # it exists
        client.create_registered_model(model.name)
    assets = [*reversed(Assets(store).list("model", model.name, include_archived=True))]
    last = next(number for number, asset in enumerate(assets) if asset.version == model.version)
    for asset in assets[max(0, last - MOST_VERSIONS) : last + 1]:
        if asset.version not in versions and asset.path is not None:
            versions[asset.version] = _register(client, asset, asset.path)
    return versions[model.version]


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    return list(client.search_model_versions(f"name = '{name}'", max_results=10 * MOST_VERSIONS))


def _register(client: MlflowClient, asset: Asset, path: Path) -> ModelVersion:
    origin = _origin(client, path)
    tags = {**{str(key): str(value) for key, value in asset.tags.items()}, VERSION_TAG: asset.version}
    version = client.create_model_version(
        asset.name, str(path), origin.run or None, tags, description=asset.description
    )
    if origin.logged:
        with suppress(Exception):
            _name_version(client, origin.logged, version)
    return version


def _name_version(client: MlflowClient, logged: str, version: ModelVersion) -> None:
    """Add a version to the tag of its logged model."""
    linked = json.loads(client.get_logged_model(logged).tags.get(VERSIONS_TAG, "[]"))
    client.set_logged_model_tags(logged, {VERSIONS_TAG: json.dumps([*linked, _named(version)])})


def _named(version: ModelVersion) -> dict[str, object]:
    return {"name": version.name, "version": version.version}


def _external(client: MlflowClient, run: str, model: JobModel, version: ModelVersion) -> str:
    """Return the version as a logged model of the job's experiment: MLflow's pages show a run only these.

    It has no files; its source is the run that trained it.
    """
    experiment = client.get_run(run).info.experiment_id
    name = NOT_IN_A_NAME.sub("-", f"{model.name}-{model.version}")
    versions = json.dumps([_named(version)])
    tags = {MODEL_TAG: model.reference, "mlflow.model.isExternal": "true", VERSIONS_TAG: versions}
    existing = client.search_logged_models([experiment], f"tags.{MODEL_TAG} = '{model.reference}'", max_results=1)
    if existing:
        return str(existing[0].model_id)
    logged = client.create_logged_model(experiment, name, version.run_id or None, tags)
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)
