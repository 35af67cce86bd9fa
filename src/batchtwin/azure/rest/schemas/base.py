"""Parts of request bodies that all collections share.

Source: ARM resources as azure-ai-ml 1.35.2 and 1.28.1 write them. Unknown keys are ignored, as by the service: SDKs of
other versions send more.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

INT_MAX = 2**31 - 1
# In JSON: an escape that no other backslash escapes; and halves of characters.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
Whole = Annotated[int, Field(ge=-INT_MAX, le=INT_MAX)]
Text = Annotated[str, Field(max_length=65_536)]
FreeMapping = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
OptionalText = Annotated[Text, BeforeValidator(lambda value: "" if value is None else value)]


class Schema(BaseModel):
    """Keys in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


Properties = TypeVar("Properties", bound=Schema)


class RequestBody(Schema):
    """A whole request body: text that every database can store, and numbers that JSON allows."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, value: Any) -> Any:
        if isinstance(value, bytes):
            # FastAPI passes bytes for another content type.
            raise ValueError("must be JSON, sent with the content type application/json")
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if _NUL.search(text) or (not text.isprintable() and _SURROGATE.search(text)):
            raise ValueError("holds characters that are no text")
        return value


class Resource(RequestBody, Generic[Properties]):
    """An ARM resource."""

    properties: Properties
    tags: FreeMapping = Field(default_factory=dict)


class Described(Schema):
    """Description, tags and properties of a resource."""

    description: OptionalText = ""
    tags: FreeMapping = Field(default_factory=dict)
    properties: FreeMapping = Field(default_factory=dict)
