"""The two layouts of a deployment YAML, brought to one, and validation errors told in the words of the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel

from batchtwin.errors import DeploymentError, Problem, UsageError
from batchtwin.spec.yaml_file import Key, YamlFile

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# Keys that stand at the root of the legacy layout (no `type`), and in `settings` with `type: model`.
LIFTED = (
    "mini_batch_size",
    "max_concurrency_per_instance",
    "retry_settings",
    "output_action",
    "output_file_name",
    "error_threshold",
    "logging_level",
    "environment_variables",
)
# Of these, what `type: model` without a `settings` block may keep at its root.
ROOT_OR_SETTINGS = ("error_threshold", "environment_variables")


@dataclass(frozen=True)
class Layout:
    """`data` in the `type: model` layout without `type`; `moved` holds the keys that the file has at its root."""

    file: YamlFile
    data: dict[str, Any]
    moved: frozenset[str]
    overridden: frozenset[Key]

    def explain(self, errors: Iterable[ErrorDetails], model: type[BaseModel]) -> DeploymentError:
        """Turn pydantic's errors into sentences with the file's own keys and lines."""
        problems: dict[str, Problem] = {}
        for error in errors:
            at, value = _place(error["loc"], self.data)
            key = self._as_written(at)
            name = ".".join(map(str, key))
            text = _sentence(error, value, at, model)
            if at in self.overridden:
                text += " (from --set)"
            problems.setdefault(name, Problem(name, None if at in self.overridden else self._line(key), text))
        return DeploymentError(self.file.path, list(problems.values()))

    def _line(self, key: Key) -> int | None:
        lines = (self.file.lines.get(key[:length]) for length in range(len(key), 0, -1))
        return next((line for line in lines if line), None)

    def _as_written(self, at: Key) -> Key:
        return at[1:] if len(at) > 1 and at[0] == "settings" and at[1] in self.moved else at


def read_layout(path: Path, overrides: Mapping[str, str]) -> Layout:
    """Read `path` and bring it to the `type: model` layout.

    Raises:
        DeploymentError: `type` is wrong, or a key stands where the service would drop or refuse it.
        UsageError: an override is not `key=value` text that YAML can read.
    """
    file = YamlFile.read(path)
    data = {str(key): value for key, value in file.data.items() if key != "$schema"}
    problems = _misplaced(file, data)
    if problems:
        raise DeploymentError(path, problems)
    legacy = data.pop("type", None) is None
    liftable = LIFTED if legacy else ROOT_OR_SETTINGS
    moved = frozenset(key for key in liftable if key in data)
    if moved:
        data["settings"] = {key: data.pop(key) for key in sorted(moved)}
    changed = frozenset(_override(data, key, text) for key, text in overrides.items())
    return Layout(file, data, moved, changed)


def _misplaced(file: YamlFile, data: Mapping[str, Any]) -> list[Problem]:
    """What only the layout can tell. An unknown key is left to the model, which knows them all."""
    kind = data.get("type", "model")
    problems = []

    def add(key: str, text: str) -> None:
        problems.append(Problem(key, file.lines.get((key,)), text))

    if isinstance(kind, str) and kind.lower() == "pipeline":
        add("type", "'pipeline' deployments run components, not a model; only type: model runs here")
    elif not isinstance(kind, str) or kind.lower() != "model":
        add("type", f"{kind!r} is not a deployment type; use model")
    elif "type" not in data and "settings" in data:
        add("settings", "belongs to the newer layout; add type: model at the root")
    elif "type" in data:
        inside = set(LIFTED) - set(ROOT_OR_SETTINGS) if "settings" not in data else set(LIFTED)
        for key in sorted(inside & data.keys()):
            add(key, "would be dropped or refused here by Azure ML; move it under settings:")
    return problems


def _override(data: dict[str, Any], dotted: str, text: str) -> Key:
    key = tuple(dotted.split("."))
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"--set {dotted}={text}: the value is not YAML") from None
    for part in key[:-1]:
        inner = data.get(part)
        data[part] = dict(inner) if isinstance(inner, dict) else {}
        data = data[part]
    data[key[-1]] = value
    return key


def _place(loc: Sequence[str | int], data: object) -> tuple[Key, object]:
    """Return the key path in the file and the value there, without the tags that pydantic adds for unions."""
    at: list[str | int] = []
    for part in loc:
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and part in range(len(data))):
            data = data[part]  # type: ignore[index]
            at.append(part)
        elif isinstance(data, dict) and part == loc[-1]:
            at.append(part)
    return tuple(at), data


def _sentence(error: ErrorDetails, value: object, at: Key, model: type[BaseModel]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is required; add it"
        case "extra_forbidden":
            return _unknown(at, model)
        case "value_error":
            problem = str(context["error"])
            return problem if isinstance(value, dict) else f"{value!r} {problem}"
        case "greater_than_equal" | "less_than_equal":
            bound = "at least" if "ge" in context else "at most"
            return f"{value!r} is out of range; allowed is {bound} {context.get('ge', context.get('le'))}"
        case "literal_error":
            return f"{value!r} is not known; allowed is {context['expected']}"
        case "int_type" | "int_from_float":
            return f"{value!r} is not a whole number"
        case "string_pattern_mismatch" | "string_too_short" | "string_too_long":
            if context.get("min_length") == 1:
                return "is empty; give a value"
            return f"{value!r} must be 3 to 32 letters, digits and -, start with a letter and not end with -"
        case "string_type":
            return f"{value!r} is not text; put it in quotes"
        case _:
            return f"{value!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _unknown(at: Key, model: type[BaseModel]) -> str:
    fields = _fields(at[:-1], model)
    near = difflib.get_close_matches(str(at[-1]), fields, n=1)
    known = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(sorted(fields))}"
    return f"unknown key; {known}"


def _fields(at: Key, model: type[BaseModel]) -> list[str]:
    for part in at:
        model = next(_models_in(model.model_fields[str(part)].annotation))
    return list(model.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The pydantic models that an annotation mentions: in unions, `Annotated` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
