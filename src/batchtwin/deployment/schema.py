"""deployment.yml -> Deployment: both layouts of Azure ML, checked at least as strictly as azure-ai-ml does.

Source of keys, defaults and ranges: the reference of the batch deployment YAML schema, and the marshmallow
schemas of azure-ai-ml 1.35.2 (`load_model_batch_deployment`, `load_batch_deployment`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from batchtwin.deployment.fields import (
    BuildContext,
    CondaFile,
    FileName,
    Free,
    Integer,
    Name,
    NotNegative,
    Positive,
    Reference,
    StrictModel,
    Text,
    TextKeys,
    Texts,
    Variables,
    Version,
    field_error,
    lower,
    reference_or_inline,
)
from batchtwin.deployment.layout import layout_of
from batchtwin.deployment.reference import ANONYMOUS, AssetReference, is_reference, parse_reference
from batchtwin.deployment.yaml_file import YamlFile

ASSET = Discriminator(
    reference_or_inline,
    custom_error_type="asset",
    custom_error_message="must be azureml:NAME:VERSION, azureml:NAME@latest, a full azureml: id, or a mapping",
)


class RetrySettings(StrictModel):
    """`max_retries`: tries in all, at least one. `timeout`: seconds for one call of `run()`."""

    max_retries: NotNegative = 3
    timeout: Positive = 30

    @property
    def tries(self) -> int:
        """How often one mini-batch is tried, in all [R, as seen live]."""
        return max(1, self.max_retries)


class Settings(StrictModel):
    """How a job is cut and run; the `settings` block, or the root of the legacy layout."""

    mini_batch_size: Positive = 10
    max_concurrency_per_instance: Positive = 1
    instance_count: Positive | None = None
    retry_settings: RetrySettings = RetrySettings()
    output_action: Annotated[Literal["append_row", "summary_only"], BeforeValidator(lower)] = "append_row"
    output_file_name: FileName = "predictions.csv"
    error_threshold: Annotated[Integer, Field(ge=-1)] = -1
    logging_level: Annotated[Literal["warning", "info", "debug"], BeforeValidator(lower)] = "info"
    environment_variables: Variables = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_name_without_file(self) -> Self:
        if self.output_action == "summary_only" and "output_file_name" in self.model_fields_set:
            raise field_error("output_file_name", "does not go with output_action: summary_only; remove one of them")
        return self


class CodeConfiguration(StrictModel):
    """The scoring script, relative to its code folder, which is relative to the YAML file."""

    read_only = frozenset({"$schema"})
    code: Text
    scoring_script: Text


class InlineModel(StrictModel):
    """A model that is named by its path instead of its registration."""

    read_only = frozenset(
        {"$schema", "id", "job_name", "latest_version", "utc_time_created", "creation_context", "intellectual_property"}
    )
    path: Text
    name: str | None = None
    version: Version | None = None
    type: Annotated[Literal["mlflow_model", "custom_model", "triton_model"], BeforeValidator(lower)] = "custom_model"
    description: str | None = None
    tags: Free = Field(default_factory=dict)
    properties: Free = Field(default_factory=dict)
    stage: str | None = None
    flavors: Free = Field(default_factory=dict)
    datastore: str | None = None
    system_metadata: Free = Field(default_factory=dict)

    @model_validator(mode="after")
    def _named_if_remote_or_versioned(self) -> Self:
        if self.name:
            return self
        if self.version is not None:
            raise field_error("version", "goes with a name only; add name, or remove version")
        if is_reference(self.path) or "://" in self.path:
            raise field_error(
                "path", f"{self.path!r} is remote; give a local path, or add the name it is registered under"
            )
        return self


class Build(StrictModel):
    """A Docker build context instead of an image."""

    path: BuildContext
    dockerfile_path: str | None = None


class InlineEnvironment(StrictModel):
    """An environment written into the deployment: an image with a conda file, or a build context."""

    read_only = frozenset({"$schema", "latest_version", "creation_context", "intellectual_property"})
    name: str | None = None
    version: Version | None = None
    description: str | None = None
    tags: TextKeys = Field(default_factory=dict)
    image: Text | None = None
    conda_file: CondaFile | None = None
    build: Build | None = None
    os_type: Annotated[Literal["linux", "windows"], BeforeValidator(lower)] | None = None
    datastore: str | None = None

    @model_validator(mode="after")
    def _image_or_build(self) -> Self:
        if self.image and self.build:
            raise field_error("build", "does not go with image; remove one of them")
        if not self.image and not self.build:
            raise ValueError("needs an image (with or without conda_file), or a build context")
        return self


class Resources(StrictModel):
    """Where the job runs. Only `instance_count` has a meaning here."""

    instance_count: Positive | None = None
    instance_type: str | None = None
    max_instance_count: Positive | None = None
    locations: list[str] | None = None
    shm_size: str | None = None
    docker_args: Texts | None = None
    properties: TextKeys = Field(default_factory=dict)


class Deployment(StrictModel):
    """A model batch deployment, complete: defaults filled in, every value in range."""

    name: Name
    endpoint_name: Name
    model: Annotated[Reference | Annotated[InlineModel, Tag("inline")], ASSET]
    compute: Text
    id: str | None = None
    description: str | None = None
    tags: Free = Field(default_factory=dict)
    properties: Free = Field(default_factory=dict)
    code_configuration: CodeConfiguration | None = None
    environment: Annotated[Reference | Annotated[InlineEnvironment, Tag("inline")], ASSET] | None = None
    resources: Resources | None = None
    settings: Settings = Settings()

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.code_configuration and self.environment is None:
            text = "needs an environment to run in; add environment: {image: ..., conda_file: ...}"
            raise field_error("code_configuration", text)
        if self.settings.instance_count is not None and self.resources is not None:
            raise field_error("settings.instance_count", "does not go with resources; write resources.instance_count")
        return self

    @property
    def instance_count(self) -> int:
        """Nodes that the job asks for."""
        nodes = self.resources.instance_count if self.resources else self.settings.instance_count
        return nodes or 1

    @property
    def model_name(self) -> str:
        """Name of the registered model; empty for one that has only a path."""
        if isinstance(self.model, InlineModel):
            name = self.model.name or ""
            return "" if name.startswith(ANONYMOUS) else name
        reference = parse_reference(self.model)
        return reference.name if isinstance(reference, AssetReference) else ""

    @property
    def output_file(self) -> str | None:
        """Name of the file that `append_row` writes; None with `summary_only`."""
        return self.settings.output_file_name if self.settings.output_action == "append_row" else None

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
        return cls.of(YamlFile.read(path), overrides or {})

    @classmethod
    def of(cls, file: YamlFile, overrides: Mapping[str, str]) -> Deployment:
        """Check a deployment YAML that has been read; `overrides` is that of `load`.

        Raises:
            DeploymentError: as of `load`.
        """
        layout = layout_of(file, overrides)
        try:
            deployment = cls.model_validate(layout.data, context={"folder": file.path.absolute().parent})
        except ValidationError as error:
            raise layout.explain(error.errors(include_url=False), cls) from None
        layout.check()
        return deployment
