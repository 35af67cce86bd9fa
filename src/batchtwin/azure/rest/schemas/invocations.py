"""Body of an invocation: as the SDK writes it, and as the documentation writes it for other clients.

Source: azure-ai-ml 1.35.2 (`BatchJobSchema`), and "Create jobs and input data for batch endpoints", tab REST,
https://learn.microsoft.com/azure/machine-learning/how-to-access-data-batch-endpoints-jobs: there keys are `InputData`,
`JobInputType`, `Uri`, where the SDK has `inputData`, `jobInputType`, `uri`. The service takes both.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from batchtwin.azure.rest.schemas.base import FreeMapping, RequestBody, Schema, Text, Whole
from batchtwin.azure.rest.schemas.endpoints import ResourceSettings, RetrySettings


class AnyCase(Schema):
    """Keys begin with a small or with a capital letter."""

    @model_validator(mode="before")
    @classmethod
    def _small(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key[:1].lower() + key[1:] if isinstance(key, str) else key: inner for key, inner in value.items()}


class JobInputSchema(AnyCase):
    """An input: data, or a literal."""

    job_input_type: Text
    uri: Text | None = None


class JobOutputSchema(AnyCase):
    """The target of an output."""

    job_output_type: Text = "UriFolder"
    uri: Text | None = None


class OutputDataset(AnyCase):
    """The target of the output in the form of older clients."""

    datastore_id: Text | None = None
    path: Text | None = None


class InvocationProperties(AnyCase):
    """A requested job."""

    name: Text | None = None
    input_data: dict[str, JobInputSchema] = Field(default_factory=dict)
    output_data: dict[str, JobOutputSchema] = Field(default_factory=dict)
    output_dataset: OutputDataset | None = None
    output_file_name: Text | None = None
    mini_batch_size: Whole | None = None
    error_threshold: Whole | None = None
    retry_settings: RetrySettings | None = None
    compute: ResourceSettings | None = None
    resources: ResourceSettings | None = None
    properties: FreeMapping = Field(default_factory=dict)


class InvocationBody(AnyCase, RequestBody):
    """The body of the POST."""

    properties: InvocationProperties
