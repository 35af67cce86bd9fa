"""deployment.yml -> Deployment: both layouts of Azure ML, checked at least as strictly as azure-ai-ml does.

Source of keys, defaults and ranges: the reference of the batch deployment YAML schema, and the marshmallow
schemas of azure-ai-ml 1.35.2 (`load_model_batch_deployment`, `load_batch_deployment`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from batchtwin.spec.layout import read_layout

INT_MAX = 2**31 - 1


def _integer(value: object) -> object:
    """Accept `2` and `"2"`, as the SDK does, but neither `2.7` (which it cuts to 2) nor `true`."""
    if isinstance(value, str) and value.strip().lstrip("+-").isdigit():
        return int(value)
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _variable(value: object) -> object:
    """Environment variables are text; numbers are taken as written, a bare `true` is ambiguous."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _bare_name(value: str) -> str:
    if value in {"", ".", ".."} or {"/", "\\", "\0"} & set(value):
        raise ValueError("must be a bare file name, without a folder")
    return value


def _azureml_reference(value: str) -> str:
    if not value.startswith(("azureml:", "/subscriptions/")) or value == "azureml:":
        raise ValueError("must be azureml:NAME:VERSION, azureml:NAME@latest or an inline {path: ...}")
    return value


def _reference_or_inline(value: object) -> str:
    return "reference" if isinstance(value, str) else "inline"


Integer = Annotated[int, BeforeValidator(_integer), Field(strict=True, le=INT_MAX)]
Positive = Annotated[Integer, Field(ge=1)]
NotNegative = Annotated[Integer, Field(ge=0)]
Name = Annotated[
    str,
    StringConstraints(min_length=3, max_length=32, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"),
]
Text = Annotated[str, StringConstraints(min_length=1)]
Reference = Annotated[Text, AfterValidator(_azureml_reference), Tag("reference")]
Variables = dict[str, Annotated[str, BeforeValidator(_variable)]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class RetrySettings(_Part):
    """`max_retries`: tries in all, at least one. `timeout`: seconds for one call of `run()`."""

    max_retries: NotNegative = 3
    timeout: Positive = 30

    @property
    def tries(self) -> int:
        """How often one mini-batch is tried, in all [R, as seen live]."""
        return max(1, self.max_retries)


class Settings(_Part):
    """How a job is cut and run; the `settings` block, or the root of the legacy layout."""

    mini_batch_size: Positive = 10
    max_concurrency_per_instance: Positive = 1
    instance_count: Positive | None = None
    retry_settings: RetrySettings = RetrySettings()
    output_action: Annotated[Literal["append_row", "summary_only"], BeforeValidator(_lower)] = "append_row"
    output_file_name: Annotated[str, AfterValidator(_bare_name)] = "predictions.csv"
    error_threshold: Annotated[Integer, Field(ge=-1)] = -1
    logging_level: Annotated[Literal["warning", "info", "debug"], BeforeValidator(_lower)] = "info"
    environment_variables: Variables = {}

    @model_validator(mode="after")
    def _no_name_without_file(self) -> Self:
        if self.output_action == "summary_only" and "output_file_name" in self.model_fields_set:
            raise ValueError("output_file_name does not go with output_action: summary_only; remove one of them")
        return self


class CodeConfiguration(_Part):
    """The scoring script, relative to its code folder, which is relative to the YAML file."""

    code: Text
    scoring_script: Text


class InlineModel(_Part):
    """A model named by where it lies instead of by its registration."""

    path: Text
    name: str | None = None
    version: Annotated[str, BeforeValidator(_variable)] | None = None
    type: Annotated[Literal["mlflow_model", "custom_model", "triton_model"], BeforeValidator(_lower)] = "custom_model"
    description: str | None = None
    tags: dict[str, Any] = {}
    properties: dict[str, Any] = {}


class Build(_Part):
    """A Docker build context instead of an image."""

    path: Text
    dockerfile_path: str | None = None


class InlineEnvironment(_Part):
    """An environment written into the deployment: an image with a conda file, or a build context."""

    name: str | None = None
    version: Annotated[str, BeforeValidator(_variable)] | None = None
    description: str | None = None
    tags: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    image: str | None = None
    conda_file: str | dict[str, Any] | None = None
    build: Build | None = None
    os_type: Annotated[Literal["linux", "windows"], BeforeValidator(_lower)] | None = None

    @model_validator(mode="after")
    def _image_or_build(self) -> Self:
        if self.image and self.build:
            raise ValueError("image and build exclude each other; remove one of them")
        if not self.image and not self.build:
            raise ValueError("needs an image (with or without conda_file), or a build context")
        return self


class Resources(_Part):
    """Where the job runs. Only `instance_count` has a meaning here."""

    instance_count: Positive | None = None
    instance_type: str | None = None
    max_instance_count: Positive | None = None
    locations: list[str] | None = None
    shm_size: str | None = None
    docker_args: str | list[str] | None = None
    properties: dict[str, Any] = {}


class Deployment(_Part):
    """A model batch deployment, complete: defaults filled in, every value in range."""

    name: Name
    endpoint_name: Name
    model: Annotated[Reference | Annotated[InlineModel, Tag("inline")], Discriminator(_reference_or_inline)]
    compute: Text
    id: str | None = None
    description: str | None = None
    tags: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    code_configuration: CodeConfiguration | None = None
    environment: (
        Annotated[Reference | Annotated[InlineEnvironment, Tag("inline")], Discriminator(_reference_or_inline)] | None
    ) = None
    resources: Resources = Resources()
    settings: Settings = Settings()

    @model_validator(mode="after")
    def _script_needs_environment(self) -> Self:
        if self.code_configuration and self.environment is None:
            raise ValueError("code_configuration needs an environment to run in; add environment: {image, conda_file}")
        if self.settings.instance_count is not None and self.resources.instance_count is not None:
            raise ValueError("resources.instance_count and settings.instance_count exclude each other; remove one")
        return self

    @property
    def instance_count(self) -> int:
        """Nodes that the job asks for."""
        return self.resources.instance_count or self.settings.instance_count or 1

    @property
    def workers(self) -> int:
        """Worker processes that the job asks for: nodes x processes per node."""
        return self.instance_count * self.settings.max_concurrency_per_instance

    @classmethod
    def load(cls, path: Path, overrides: Mapping[str, str] | None = None) -> Deployment:
        """Read and check a deployment YAML in either layout.

        `overrides` maps dotted keys of the `type: model` layout, such as `settings.mini_batch_size`, to YAML text.

        Raises:
            DeploymentError: with every problem, each with key, line, value and what is allowed.
        """
        layout = read_layout(path, overrides or {})
        try:
            return cls.model_validate(layout.data)
        except ValidationError as error:
            raise layout.explain(error.errors(include_url=False), cls) from None
