"""Bodies of PUT for batch endpoints and batch deployments."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from batchtwin.azure.rest.schemas.base import Described, Schema, Text, Whole


class Defaults(Schema):
    """The default deployment of an endpoint."""

    deployment_name: Annotated[Text, AfterValidator(str.lower)] | None = None


class EndpointSchema(Described):
    """A batch endpoint."""

    defaults: Defaults | None = None


class ModelReference(Schema):
    """The model of a deployment, by id."""

    asset_id: Text


class CodeConfiguration(Schema):
    """The script of a deployment, and the id of its code."""

    code_id: Text | None = None
    scoring_script: Text


class RetrySettings(Schema):
    """Number of tries, and the timeout of each."""

    max_retries: Whole | None = None
    timeout: timedelta | None = None


class ResourceSettings(Schema):
    """The number of nodes."""

    instance_count: Whole | None = None


class DeploymentSchema(Described):
    """A batch deployment. The service fills in defaults for None."""

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
