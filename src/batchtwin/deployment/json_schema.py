"""The deployment's model -> a JSON Schema for editors, with both layouts, and the rules between keys.

Whatever the schema refuses, batchtwin refuses too. Only batchtwin checks whether a file exists, or what a full
`azureml:` id looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batchtwin.deployment import schema
from batchtwin.deployment.fields import StrictModel
from batchtwin.deployment.layout import LEGACY_READ_ONLY, LIFTED, READ_ONLY, ROOT_OR_SETTINGS

Schema = dict[str, Any]
# The draft that editors support best.
DIALECT = "http://json-schema.org/draft-07/schema#"
BLOCKS: tuple[type[StrictModel], ...] = (
    schema.RetrySettings,
    schema.Settings,
    schema.CodeConfiguration,
    schema.InlineModel,
    schema.Build,
    schema.InlineEnvironment,
    schema.Resources,
)
# What validators of the model accept besides its type, or refuse although its type allows it.
WHOLE_TEXT = {"type": "string", "pattern": "^\\s*[-+]?[0-9]+(_[0-9]+)*\\s*$"}
TEXT_OR_NUMBER = {"type": ["string", "number"]}
REFERENCE = {"type": "string", "pattern": "^azureml:"}
FILE_NAME = {"type": "string", "pattern": "^(?!\\.{1,2}$)[^/\\\\]+$", "default": "predictions.csv"}
VARIABLES = {"type": "object", "additionalProperties": TEXT_OR_NUMBER, "propertyNames": {"pattern": "^[^=]+$"}}
NOT_EMPTY = {"not": {"type": "null"}}


def json_schema() -> Schema:
    """Return the JSON Schema of a deployment YAML, in the layout with `type: model` or in the legacy one."""
    whole = schema.Deployment.model_json_schema(ref_template="#/definitions/{model}")
    definitions = {name: _tidy(part) for name, part in whole.pop("$defs").items()}
    root = _tidy(whole)["properties"]
    root["model"]["oneOf"][0] = root["environment"]["oneOf"][0] = REFERENCE
    _correct(definitions)
    lifted = {key: definitions["Settings"]["properties"][key] for key in LIFTED}
    kind = {"type": _any_case(["model"])}
    newer = _layout(kind | root | {key: lifted[key] for key in ROOT_OR_SETTINGS}, READ_ONLY, whole["required"])
    older = _layout({key: root[key] for key in root if key != "settings"} | lifted, LEGACY_READ_ONLY, whole["required"])
    # Beside a settings block Azure ML would drop the keys that are otherwise allowed at the root.
    newer["allOf"].append(_if({"required": ["settings"]}, _without(ROOT_OR_SETTINGS)))
    alternative = {"required": ["resources", "settings"], "properties": {"settings": {"required": ["instance_count"]}}}
    newer["allOf"].append({"not": alternative})
    older["allOf"].append(_summary_only())
    return {
        "$schema": DIALECT,
        "title": "Batch deployment",
        "description": "A model batch deployment of Azure Machine Learning, as batchtwin takes it",
        "type": "object",
        "if": {"required": ["type"]},
        "then": newer,
        "else": older,
        "definitions": definitions,
    }


def _correct(definitions: Mapping[str, Schema]) -> None:
    """Add the checks of validators, and the other types that they accept, block by block."""
    for block in BLOCKS:
        read_only = {key: NOT_EMPTY for key in sorted(block.read_only)}
        definitions[block.__name__]["properties"] |= read_only
    settings = definitions["Settings"]
    settings["required"] = ["mini_batch_size"]
    settings["properties"] |= {"output_file_name": FILE_NAME, "environment_variables": VARIABLES}
    settings["allOf"] = [_summary_only()]
    definitions["Resources"]["properties"]["docker_args"]["type"] = ["string", "array"]
    environment, model = definitions["InlineEnvironment"], definitions["InlineModel"]
    for asset in (environment, model):
        asset["properties"]["version"] = TEXT_OR_NUMBER
    environment["oneOf"] = [{"required": ["image"]}, {"required": ["build"]}]
    # A path that is no file here, or a version, is about a registered model, which has a name.
    unnamed = {"properties": {"version": False, "path": {"not": {"pattern": "://"}}}}
    model["allOf"] = [_if({"not": {"required": ["name"]}}, unnamed)]


def _layout(properties: Schema, read_only: Iterable[str], required: list[str]) -> Schema:
    return {
        "properties": properties | {key: NOT_EMPTY for key in sorted(read_only)},
        "required": required,
        "additionalProperties": False,
        "allOf": [_if({"required": ["code_configuration"]}, {"required": ["environment"]})],
    }


def _summary_only() -> Schema:
    """Without a file its name is refused."""
    action = {"required": ["output_action"], "properties": {"output_action": _any_case(["summary_only"])}}
    return _if(action, _without(["output_file_name"]))


def _if(condition: Schema, consequence: Schema) -> Schema:
    return {"if": condition, "then": consequence}


def _without(keys: Iterable[str]) -> Schema:
    return {"properties": dict.fromkeys(keys, False)}


def _any_case(choices: Iterable[str]) -> Schema:
    """Return the choices for completion, and a pattern that accepts any case."""
    pattern = "|".join(
        "".join(f"[{char}{char.upper()}]" if char.isalpha() else char for char in word) for word in choices
    )
    return {"anyOf": [{"enum": list(choices)}, {"type": "string", "pattern": f"^({pattern})$"}]}


def _tidy(part: Any) -> Any:
    """Return pydantic's schema without titles and null; whole numbers and choices are as the model accepts them."""
    if isinstance(part, list):
        return [_tidy(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    # The keys of properties are those of the YAML, possibly also `title`.
    part = {
        key: {name: _tidy(inner) for name, inner in value.items()} if key == "properties" else _tidy(value)
        for key, value in part.items()
        if key != "title" and not (key == "default" and value is None)
    }
    choices = part.get("anyOf")
    if choices and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        part = {key: value for key, value in part.items() if key != "anyOf"}
        part |= rest[0] if len(rest) == 1 else {"anyOf": rest}
    if part.get("type") == "integer":
        limits = {"type": "integer", "minimum": part.pop("ge", None), "maximum": part.pop("le", None)}
        limits = {key: value for key, value in limits.items() if value is not None}
        part = {key: value for key, value in part.items() if key != "type"} | {"anyOf": [limits, WHOLE_TEXT]}
    if "enum" in part:
        part = {key: value for key, value in part.items() if key not in {"enum", "type"}} | _any_case(part["enum"])
    return part
