"""The content of a workspace, as plain frozen values. Times are in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchtwin.deployment.reference import AssetReference
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    from batchtwin.deployment.schema import Deployment

Kind = Literal["model", "data", "code", "environment"]


class JobStatus(StrEnum):
    """The states of a job, as the service names them [A]."""

    NOT_STARTED = "NotStarted"
    STARTING = "Starting"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    RUNNING = "Running"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in FINAL


FINAL = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELED)


@value_object
class Metadata:
    """A user's notes about a version of an asset."""

    description: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


NO_METADATA = Metadata()


@value_object
class Asset:
    """One version of a model, of data, code or an environment.

    `type` is mlflow_model or custom_model, uri_folder or uri_file; None for the other kinds. `path` is the workspace's
    copy, under the name of the source; None for remote content (`properties["uri"]`) and for an environment without a
    conda file.
    """

    kind: Kind
    name: str
    version: str
    type: str | None
    path: Path | None
    content_hash: str
    description: str
    tags: Mapping[str, Any]
    properties: Mapping[str, Any]
    created: datetime
    changed: datetime
    archived: bool = False

    @property
    def reference(self) -> str:
        """`azureml:NAME:VERSION`."""
        return AssetReference(self.name, self.version).text


@value_object
class Compute:
    """A cluster by name. Nothing runs on it: jobs run on this machine. `idle_time_before_scale_down` in seconds."""

    name: str
    type: str
    size: str
    min_instances: int
    max_instances: int
    idle_time_before_scale_down: int
    created: datetime
    changed: datetime


@value_object
class Endpoint:
    """A name that routes to one of its deployments."""

    name: str
    description: str
    tags: Mapping[str, Any]
    properties: Mapping[str, Any]
    default_deployment: str | None
    created: datetime
    changed: datetime
    auth_mode: str = "aad_token"


@value_object
class DeploymentRecord:
    """A deployment and its assets, at the versions from when it was created.

    `spec` names them, the code too, as `azureml:NAME:VERSION`. `environment` is None if the deployment requests none,
    or one of Azure's own.
    """

    endpoint: str
    name: str
    spec: Deployment
    model: Asset
    code: Asset | None
    environment: Asset | None
    created: datetime
    changed: datetime


@value_object
class JobRecord:
    """A run of a deployment over one input. `output` is a folder as `batchtwin score` writes it.

    `input` is `azureml:NAME:VERSION`, or the path of the copy of a local file or folder.
    """

    name: str
    display_name: str
    endpoint: str
    deployment: str
    experiment: str
    status: JobStatus
    input: str
    output: Path
    output_file_name: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    error: str | None
    mlflow_run_id: str | None
    tags: Mapping[str, Any]
    properties: Mapping[str, Any]

    @property
    def times(self) -> dict[str, str]:
        """When it started and ended, if it has, as properties of a job show it [R]."""
        moments = {"StartTimeUtc": self.started, "EndTimeUtc": self.ended}
        return {name: f"{moment:%Y-%m-%d %H:%M:%S}" for name, moment in moments.items() if moment}
