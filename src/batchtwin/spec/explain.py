"""Validation errors, told in the words of the file: which key, what stands there, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from batchtwin.spec.yaml_file import Key

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_SHOWN = 100


def locate(error: ErrorDetails, data: object) -> tuple[Key, object]:
    """Return the key path in `data` that an error is about, and the value there.

    The tags that pydantic adds for unions are taken out; a missing key, and one that a model names itself, are added.
    """
    loc: Sequence[str | int] = error["loc"]
    if loc[-1:] == ("[key]",):
        loc = loc[:-2]
    at: list[str | int] = []
    for part in (*loc, *error.get("ctx", {}).get("key", "").split(".")):
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and part in range(len(data))):
            data = data[part]  # type: ignore[index]
            at.append(part)
    if error["type"] == "missing":
        at.append(loc[-1])
    return tuple(at), data


def sentence(error: ErrorDetails, value: object, at: Key, model: type[BaseModel]) -> str:
    """Say what is wrong with `value` at `at`, and what is allowed; `model` is the root of the schema."""
    context = error.get("ctx", {})
    shown = _shown(error["input"] if error["loc"][-1:] == ("[key]",) else value)
    match error["type"]:
        case "missing":
            return "is required; add it"
        case "extra_forbidden":
            return _unknown(at, model)
        case "empty" | "misfit":
            return error["msg"]
        case "value_error":
            return str(context["error"]) if isinstance(value, dict) else f"{shown} {context['error']}"
        case "greater_than_equal" | "less_than_equal":
            bound = "at least" if "ge" in context else "at most"
            return f"{shown} is out of range; allowed is {bound} {context.get('ge', context.get('le'))}"
        case "literal_error":
            return f"{shown} is not known; allowed is {context['expected']}"
        case "int_type":
            return f"{shown} is not a whole number"
        case "string_pattern_mismatch" | "string_too_short" | "string_too_long":
            if context.get("min_length") == 1:
                return "is empty; give a value"
            return f"{shown} must be 3 to 32 letters, digits and -, start with a letter and not end with -"
        case "string_type":
            return f"{shown} is not text" + ("" if isinstance(value, dict | list) else "; put it in quotes")
        case "model_type":
            return f"{shown} is not a mapping; its keys may be {', '.join(sorted(_fields(at, model)))}"
        case "dict_type":
            return f"{shown} is not a mapping of names to values"
        case "list_type":
            return f"{shown} is not a list"
        case _:
            return f"{shown} {error['msg']}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _unknown(at: Key, model: type[BaseModel]) -> str:
    fields = _fields(at[:-1], model)
    near = difflib.get_close_matches(str(at[-1]), fields, n=1)
    known = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(sorted(fields))}"
    return f"unknown key; {known}"


def _fields(at: Key, model: type[BaseModel]) -> list[str]:
    for part in at:
        model = next(_models_in(model.model_fields[str(part)].annotation))
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The pydantic models that an annotation mentions: in unions, `Annotated` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
