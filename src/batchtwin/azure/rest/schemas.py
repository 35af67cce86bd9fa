"""What clients send, checked: ARM resources as azure-ai-ml 1.35.2 and 1.28.1 write them.

What a document holds beyond that is ignored, as by the service: SDKs of other versions send more.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

INT_MAX = 2**31 - 1
# In JSON: an escape that no other backslash escapes; and halves of characters.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
Whole = Annotated[int, Field(ge=-INT_MAX, le=INT_MAX)]
Text = Annotated[str, Field(max_length=65_536)]
Facts = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
Words = Annotated[Text, BeforeValidator(lambda value: "" if value is None else value)]


class Document(BaseModel):
    """Keys in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


Properties = TypeVar("Properties", bound=Document)


class Body(Document):
    """The whole of what was sent: text that every database can keep, and numbers that JSON has."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, value: Any) -> Any:
        if isinstance(value, bytes):
            # So it comes with another content type.
            raise ValueError("must be JSON, sent with the content type application/json")
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if _NUL.search(text) or (not text.isprintable() and _SURROGATE.search(text)):
            raise ValueError("holds characters that are no text")
        return value


class Resource(Body, Generic[Properties]):
    """An ARM resource."""

    properties: Properties
    tags: Facts = Field(default_factory=dict)


class Described(Document):
    """What a user says about a resource."""

    description: Words = ""
    tags: Facts = Field(default_factory=dict)
    properties: Facts = Field(default_factory=dict)


class AssetVersion(Described):
    """What all assets have."""

    is_archived: bool = False


class ModelVersion(AssetVersion):
    """A version of a model."""

    model_uri: Text
    model_type: Text | None = None


class DataVersion(AssetVersion):
    """A version of data."""

    data_uri: Text
    data_type: Text | None = None


class CodeVersion(AssetVersion):
    """A version of code."""

    code_uri: Text


class BuildContext(Document):
    """A folder with a Dockerfile."""

    context_uri: Text
    dockerfile_path: Text | None = None


class EnvironmentVersion(AssetVersion):
    """A version of an environment. `conda_file` is the file's text."""

    image: Text | None = None
    conda_file: Annotated[str, Field(max_length=1_048_576)] | None = None
    build: BuildContext | None = None


class ScaleSettings(Document):
    """How far a cluster grows, and when it shrinks."""

    min_node_count: Whole = 0
    max_node_count: Whole = 4
    node_idle_time_before_scale_down: timedelta = timedelta(seconds=120)


class ClusterProperties(Document):
    """A cluster."""

    vm_size: Text = "STANDARD_DS3_V2"
    scale_settings: ScaleSettings | None = None


class Compute(Document):
    """A compute."""

    compute_type: Text
    properties: ClusterProperties | None = None


class Defaults(Document):
    """Where an endpoint routes to."""

    deployment_name: Annotated[Text, AfterValidator(str.lower)] | None = None


class Endpoint(Described):
    """A batch endpoint."""

    defaults: Defaults | None = None


class ModelReference(Document):
    """How a deployment names its model."""

    asset_id: Text


class CodeConfiguration(Document):
    """How a deployment names its script."""

    code_id: Text | None = None
    scoring_script: Text


class RetrySettings(Document):
    """Tries, and the time for each."""

    max_retries: Whole | None = None
    timeout: timedelta | None = None


class ResourceSettings(Document):
    """How many nodes."""

    instance_count: Whole | None = None


class Deployment(Described):
    """A batch deployment. What is None is the service's to fill in."""

    model: ModelReference | None = None
    compute: Text | None = None
    code_configuration: CodeConfiguration | None = None
    environment_id: Text | None = None
    environment_variables: dict[str, Text] | None = None
    error_threshold: Whole | None = None
    logging_level: Text | None = None
    max_concurrency_per_instance: Whole | None = None
    mini_batch_size: Whole | None = None
    output_action: Text | None = None
    output_file_name: Text | None = None
    resources: ResourceSettings | None = None
    retry_settings: RetrySettings | None = None
