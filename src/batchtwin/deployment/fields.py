"""The kinds of value in a deployment YAML: numbers, names, paths, references, free mappings.

A value with a clear meaning for azure-ai-ml has it here too; a value that it cuts, drops or fails on is refused.
"""

from __future__ import annotations

import os
import re
import unicodedata
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from batchtwin.deployment.reference import PREFIX, PROVIDER, AssetReference, InvalidReferenceError, parse_reference
from batchtwin.deployment.yaml_file import YamlFile

INT_MAX = 2**31 - 1
# Of file systems; control characters, lone surrogates, ends of lines and of paragraphs.
LONGEST_NAME, UNPRINTABLE = 255, frozenset({"Cc", "Cs", "Zl", "Zp"})
_WEB_ADDRESS = re.compile(r"https?://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}(:\d+)?([/?#]\S*)?", re.IGNORECASE)


def field_error(key: str, text: str) -> PydanticCustomError:
    """Return the error of a key (dotted, below the model that raises it) that contradicts another."""
    return PydanticCustomError("misfit", "{text}", {"key": key, "text": text})


class StrictModel(BaseModel):
    """A block of the YAML: no unknown keys, nothing empty. `read_only` keys, which the service shows, are ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=(), defer_build=True)
    read_only: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_read_only(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {key: inner for key, inner in value.items() if inner is None or key not in cls.read_only}

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: object) -> object:
        if value is None:
            raise PydanticCustomError("empty", "has no value; give one or remove the key")
        return value


def _integer(value: object) -> object:
    """Accept `2`, `"2"` and `2.0`, as the SDK does, but neither `2.7` (which it cuts to 2) nor `true`."""
    if isinstance(value, str) or (isinstance(value, float) and value.is_integer()):
        try:
            return int(value)
        except ValueError:
            return value
    return value


def lower(value: object) -> object:
    """Return the lower case of a choice: any case is accepted, as by the SDK."""
    return value.lower() if isinstance(value, str) else value


def _number_as_text(value: object) -> object:
    """Return a number as text, as YAML reads it; a bare `true` is ambiguous, and refused."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _variable_name(value: str) -> str:
    if not value or "=" in value:
        raise ValueError("is not the name of an environment variable")
    return value


def _bare_name(value: str) -> str:
    if value in {"", ".", ".."} or {"/", "\\"} & set(value):
        raise ValueError("must be a bare file name, without a folder")
    if any(unicodedata.category(char) in UNPRINTABLE for char in value):
        raise ValueError("must be a file name without line breaks, NUL and other control characters")
    if len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"must be a file name of at most {LONGEST_NAME} bytes; it has {len(value.encode())}")
    return value


def _reference(value: str) -> str:
    """Accept an asset by name, ARM id or URI, with the prefix, as azure-ai-ml's `ArmVersionedStr` does."""
    if not _names_asset(value):
        raise ValueError("must be azureml:NAME:VERSION, azureml:NAME@latest, a full azureml: id, or a mapping")
    return value


def _names_asset(value: str) -> bool:
    try:
        reference = parse_reference(value) if value.startswith(PREFIX) else None
    except InvalidReferenceError:
        return False
    if not isinstance(reference, AssetReference):
        return False
    # The SDK compares the fixed parts of an ARM id by case; the service does not.
    is_id = value.startswith(f"{PREFIX}/subscriptions/")
    return not is_id or ("/resourceGroups/" in value and f"/{PROVIDER}/workspaces/" in value and "/versions/" in value)


def reference_or_inline(value: object) -> str | None:
    """Return which of the two forms of an asset a value has."""
    return "reference" if isinstance(value, str) else "inline" if isinstance(value, dict | BaseModel) else None


def _folder(info: ValidationInfo) -> Path:
    """Return the start of relative paths, which `Deployment.load` sets."""
    return Path((info.context or {}).get("folder", "."))


def _conda_file(value: object, info: ValidationInfo) -> object:
    """Accept the path of a conda file that exists and is YAML, or its content."""
    if not isinstance(value, str | dict):
        raise ValueError("is neither the path of a conda file nor its content")
    if isinstance(value, str):
        path = _folder(info) / value
        if not os.path.isfile(path):
            raise ValueError(f"is not there; looked for {path}")
        YamlFile.read(path)
    return value


def _build_context(value: str, info: ValidationInfo) -> str:
    path = _folder(info) / value
    if not os.path.exists(path) and not _WEB_ADDRESS.fullmatch(value):
        raise ValueError(f"is neither a web address nor there; looked for {path}")
    return value


def _plain(value: Any) -> Any:
    """Return JSON values, with keys and dates as text."""
    match value:
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case date():
            return value.isoformat()
        case str() | int() | float() | None:
            return value
    raise ValueError(f"must hold text, numbers, lists and mappings only, not a {type(value).__name__}")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Integer = Annotated[int, BeforeValidator(_integer), Field(strict=True, le=INT_MAX)]
Positive = Annotated[Integer, Field(ge=1)]
NotNegative = Annotated[Integer, Field(ge=0)]
# Kept in lower case, as by the service.
Name = Annotated[
    str,
    StringConstraints(min_length=3, max_length=32, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", to_lower=True),
]
Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[list[str], BeforeValidator(_as_list)]
Version = Annotated[str, BeforeValidator(_number_as_text)]
FileName = Annotated[str, AfterValidator(_bare_name)]
CondaFile = Annotated[str | dict[str, Any], BeforeValidator(_conda_file), AfterValidator(_plain)]
BuildContext = Annotated[Text, AfterValidator(_build_context)]
Reference = Annotated[Text, AfterValidator(_reference), Tag("reference")]
Variables = dict[Annotated[str, AfterValidator(_variable_name)], Annotated[str, BeforeValidator(_number_as_text)]]
Free = Annotated[dict[str, Any], BeforeValidator(_plain)]
TextKeys = Annotated[dict[str, Any], AfterValidator(_plain)]
