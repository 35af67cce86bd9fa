"""The YAML files of `az ml ... create -f`, except deployments: what they may contain.

Source: the marshmallow schemas of azure-ai-ml 1.35.2 (`load_batch_endpoint`, `load_data`, `load_model`,
`load_compute`). `read_only` are keys that `az ... show` prints, and that a file may contain again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from batchtwin.deployment.fields import Free, Name, NotNegative, StrictModel, Text, Version, lower
from batchtwin.deployment.schema import InlineEnvironment, InlineModel

SHOWN = frozenset({"$schema", "id", "creation_context", "provisioning_state", "resourceGroup", "location"})


class Defaults(StrictModel):
    """Where an endpoint routes to."""

    deployment_name: Annotated[str, AfterValidator(str.lower)] | None = None


class EndpointDocument(StrictModel):
    """endpoint.yml. Keys for the service alone are checked and not used."""

    read_only = frozenset({"$schema"})
    name: Name
    id: str | None = None
    location: str | None = None
    provisioning_state: str | None = None
    scoring_uri: str | None = None
    openapi_uri: str | None = None
    description: str = ""
    tags: Free = Field(default_factory=dict)
    properties: Free = Field(default_factory=dict)
    auth_mode: Annotated[Literal["aad_token"], BeforeValidator(lower)] = "aad_token"
    defaults: Defaults = Defaults()


class DataDocument(StrictModel):
    """A data asset."""

    read_only = SHOWN | {"latest_version", "properties"}
    name: Text
    path: Text
    version: Version | None = None
    type: Literal["uri_folder", "uri_file", "mltable"] = "uri_folder"
    description: str = ""
    tags: Free = Field(default_factory=dict)
    datastore: str | None = None


class ModelDocument(InlineModel):
    """A model; as in a deployment, but by name."""

    read_only = SHOWN | InlineModel.read_only
    name: Text


class EnvironmentDocument(InlineEnvironment):
    """An environment; as in a deployment, but by name. Keys for online endpoints are not checked."""

    read_only = SHOWN | InlineEnvironment.read_only | {"auto_delete_setting"}
    name: Text
    inference_config: Any = None


class ComputeDocument(StrictModel):
    """A cluster. Keys that are not about its size have no meaning on this machine, and are not checked."""

    read_only = SHOWN | {"created_on", "provisioning_errors", "resource_id"}
    name: Text
    type: Annotated[Literal["amlcompute"], BeforeValidator(lower)]
    size: Text = "STANDARD_DS3_V2"
    min_instances: NotNegative = 0
    max_instances: NotNegative = 4
    idle_time_before_scale_down: NotNegative = 120
    tier: Annotated[Literal["dedicated", "low_priority"], BeforeValidator(lower)] = "dedicated"
    description: str | None = None
    tags: Free = Field(default_factory=dict)
    network_settings: Any = None
    ssh_settings: Any = None
    ssh_public_access_enabled: Any = None
    identity: Any = None
    enable_node_public_ip: Any = None


class JobInputDocument(StrictModel):
    """One of the `inputs` of an invocation."""

    type: str | None = None
    path: Text | None = None
    default: Any = None
    mode: str | None = None


class JobOutputDocument(StrictModel):
    """One of the `outputs` of an invocation."""

    type: str | None = None
    path: Text | None = None
    mode: str | None = None


def _as_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class InvocationDocument(StrictModel):
    """inputs.yml of `batch-endpoint invoke -f`. A text instead of an input or output is its path."""

    inputs: dict[str, Annotated[JobInputDocument, BeforeValidator(_as_path)]] = Field(default_factory=dict)
    outputs: dict[str, Annotated[JobOutputDocument, BeforeValidator(_as_path)]] = Field(default_factory=dict)
