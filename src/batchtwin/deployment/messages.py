"""Validation errors in the words of the file: the key, its value, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from batchtwin.deployment.yaml_file import Key

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_SHOWN = 100
_NAME = "{value} must be 3 to 32 letters, digits and -, start with a letter and not end with -"
# By pydantic's type of error; other errors have their own text.
SENTENCES = {
    "missing": "is required; add it",
    "empty": "{msg}",
    "misfit": "{msg}",
    "value_error": "{value} {error}",
    "greater_than_equal": "{value} is out of range; allowed is at least {ge}",
    "less_than_equal": "{value} is out of range; allowed is at most {le}",
    "literal_error": "{value} is not known; allowed is {expected}",
    "int_type": "{value} is not a whole number",
    "string_type": "{value} is not text",
    "string_pattern_mismatch": _NAME,
    "string_too_short": _NAME,
    "string_too_long": _NAME,
    "model_type": "{value} is not a mapping",
    "dict_type": "{value} is not a mapping of names to values",
    "list_type": "{value} is not a list",
}


def error_location(error: ErrorDetails, data: object) -> tuple[Key, object]:
    """Return the key path in `data` of an error, and the value there.

    pydantic's tags for unions are removed; a missing key, and one that a model names itself, are added.
    """
    loc: Sequence[str | int] = error["loc"]
    if loc[-1:] == ("[key]",):
        loc = loc[:-2]
    at: list[str | int] = []
    key = error.get("ctx", {}).get("key")
    for part in (*loc, *(key.split(".") if key else ())):
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and part in range(len(data))):
            data = data[part]
            at.append(part)
    if error["type"] == "missing":
        at.append(loc[-1])
    return tuple(at), data


def describe_error(error: ErrorDetails, value: object, at: Key, model: type[BaseModel], root: Collection[str]) -> str:
    """Return what is wrong with `value` at `at`, and what is allowed.

    `model` is the schema of the whole, `root` the keys that this file's layout has at its root.
    """
    kind, context = error["type"], error.get("ctx", {})
    if error["loc"][-1:] == ("[key]",):
        value = error["input"]
    if kind == "extra_forbidden":
        return _unknown(str(at[-1]), _fields(at[:-1], model), {}) if len(at) > 1 else _unknown_at_root(at, model, root)
    if kind == "value_error" and isinstance(value, dict):
        return str(context["error"])
    if kind == "string_type" and value is None:
        return "has no value; give one or remove the key"
    if kind == "string_too_short" and context["min_length"] == 1:
        return "is empty; give a value"
    text = SENTENCES.get(kind, "{value} {msg}")
    if kind == "string_type" and not isinstance(value, dict | list):
        text += "; put it in quotes"
    if kind == "model_type":
        text += f"; its keys may be {', '.join(sorted(_fields(at, model)))}"
    return text.format(value=_quoted(value), msg=error["msg"], **context)


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _unknown_at_root(at: Key, model: type[BaseModel], root: Collection[str]) -> str:
    """Return the text for an unknown key, with its block if it belongs in one; without `settings` that is the root."""
    settings = _fields(("settings",), model)
    prefix = "" if "mini_batch_size" in root else "settings."
    inner = {
        **{name: f"{prefix}retry_settings.{name}" for name in _fields(("settings", "retry_settings"), model)},
        **({name: f"settings.{name}" for name in settings} if prefix else {}),
    }
    return _unknown(str(at[-1]), root, inner)


def _unknown(key: str, fields: Collection[str], inner: Mapping[str, str]) -> str:
    """Return the text for an unknown key; `inner` has the keys of blocks, in case none of `fields` is similar."""
    near = [inner[key]] if key in inner else difflib.get_close_matches(key, fields, n=1)
    near = near or [inner[name] for name in difflib.get_close_matches(key, inner, n=1)]
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(sorted(fields))}"
    return f"unknown key; {hint}"


def _fields(at: Key, model: type[BaseModel]) -> list[str]:
    for part in at:
        # The keys of a mapping to models are not fields.
        if str(part) in model.model_fields:
            model = next(_models_in(model.model_fields[str(part)].annotation), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the pydantic models in an annotation: in unions, `Annotated` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
