"""Bodies of PUT for versions of models, data, code and environments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from batchtwin.azure.rest.schemas.base import Described, Schema, Text


class AssetVersionSchema(Described):
    """Keys of all assets."""

    is_archived: bool = False


class ModelVersionSchema(AssetVersionSchema):
    """A version of a model."""

    model_uri: Text
    model_type: Text | None = None


class DataVersionSchema(AssetVersionSchema):
    """A version of data."""

    data_uri: Text
    data_type: Text | None = None


class CodeVersionSchema(AssetVersionSchema):
    """A version of code."""

    code_uri: Text


class BuildContext(Schema):
    """A folder with a Dockerfile."""

    context_uri: Text
    dockerfile_path: Text | None = None


class EnvironmentVersionSchema(AssetVersionSchema):
    """A version of an environment. `conda_file` is the file's text."""

    image: Text | None = None
    conda_file: Annotated[str, Field(max_length=1_048_576)] | None = None
    build: BuildContext | None = None
