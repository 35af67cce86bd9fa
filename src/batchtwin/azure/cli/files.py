"""The input of a command: a YAML file, then `--set`, then its own flags; a later one wins."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from batchtwin.deployment.messages import describe_error, error_location
from batchtwin.deployment.overrides import parse_pairs, set_dotted
from batchtwin.deployment.reference import is_reference
from batchtwin.deployment.yaml_file import Key, YamlFile
from batchtwin.errors import DeploymentError, Problem, UsageError
from batchtwin_node.codec import value_object

# A key of `--set` with a value after an equals sign, and one without.
PAIR = re.compile(r"[A-Za-z_][\w.-]*=")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[\w-]+)+")
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)

Model = TypeVar("Model", bound=BaseModel)


@value_object
class Source:
    """Values for an entity: `file` is where most come from, if there is one; `data` is the result."""

    file: YamlFile | None
    data: dict[str, Any]

    @classmethod
    def read(
        cls, path: Path | None = None, sets: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
    ) -> Source:
        """Read the file and apply `sets` (dotted keys to JSON or text) and then the `flags` that are not None.

        A local `path:` becomes absolute: in the file and in `--set` it is relative to the file.

        Raises:
            DeploymentError: the file cannot be read.
        """
        file = YamlFile.read(path) if path else None
        data = {str(key): value for key, value in file.data.items()} if file else {}
        for dotted, text in (sets or {}).items():
            put(data, dotted, value_of(text))
        if data.get("path") and isinstance(data["path"], str):
            data["path"] = yaml_path(data["path"], path.absolute().parent if path else Path.cwd())
        data |= {key: value for key, value in (flags or {}).items() if value is not None}
        return cls(file, data)

    @property
    def folder(self) -> Path:
        """The folder where relative paths start."""
        return self.file.path.absolute().parent if self.file else Path.cwd()

    def check(self, model: type[Model]) -> Model:
        """Return the data as a `model`.

        Raises:
            DeploymentError: with every problem in the file, with its key and line.
            UsageError: with every problem, if there is no file.
        """
        try:
            return model.model_validate(self.data, context={"folder": self.folder})
        except ValidationError as error:
            problems = [self._problem(detail, model) for detail in error.errors(include_url=False)]
        if self.file:
            raise DeploymentError(self.file.path, problems) from None
        raise UsageError("\n".join(_as_option(problem) for problem in problems))

    def _problem(self, detail: Any, model: type[BaseModel]) -> Problem:
        at, value = error_location(detail, self.data)
        lines = self.file.lines if self.file else {}
        line = next((lines[at[:size]] for size in range(len(at), 0, -1) if at[:size] in lines), None)
        return Problem(".".join(map(str, at)), line, describe_error(detail, value, at, model, set(model.model_fields)))


def _as_option(problem: Problem) -> str:
    """Return a problem as that of its option; one without a key is about several options."""
    return f"--{problem.key.replace('_', '-')}: {problem.text}" if problem.key else problem.text


def pairs(flag: str, words: Sequence[str] | None) -> dict[str, str]:
    """Split `KEY=VALUE` arguments; for `--set` also `KEY VALUE`, as in pages of 2023 [A].

    Raises:
        UsageError: one has another form.
    """
    return parse_pairs(flag, list(joined_words(words or ())) if flag == "--set" else words)


def joined_words(words: Sequence[str]) -> Iterator[str]:
    """Yield arguments; a dotted key and the value after it become one, `KEY=VALUE`."""
    key = None
    for word in words:
        if key is not None and not PAIR.match(word):
            yield f"{key}={word}"
            key = None
            continue
        if key is not None:
            yield key
        key = word if DOTTED.fullmatch(word) else None
        if key is None:
            yield word
    if key is not None:
        yield key


def given_pairs(flag: str, words: Sequence[str] | None) -> dict[str, str] | None:
    """Split `KEY=VALUE` arguments; None if the flag was not given."""
    return None if words is None else pairs(flag, words)


def as_text(values: Mapping[str, str]) -> dict[str, str]:
    """Quote values, so that reading them as JSON or YAML gives text."""
    return {key: json.dumps(value) for key, value in values.items()}


def value_of(text: str) -> Any:
    """Read the value of a `KEY=VALUE`: JSON where it is JSON, else text, as the Azure CLI reads `--set`."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def put(data: dict[str, Any], dotted: str, value: object) -> None:
    """Set a dotted key in nested mappings, with missing ones made; the original mappings stay unchanged."""
    set_dotted(data, dotted, value)


def drop(data: dict[str, Any], dotted: str) -> None:
    """Remove a dotted key from nested mappings.

    Raises:
        UsageError: there is no such key.
    """
    *above, key = dotted.split(".")
    at: Key = ()
    for part in above:
        at = (*at, part)
        inner = data.get(part)
        if not isinstance(inner, dict):
            break
        data[part] = dict(inner)
        data = data[part]
    if key not in data or len(at) < len(above):
        raise UsageError(f"--remove {dotted}: there is no such property")
    del data[key]


def yaml_path(path: str, folder: Path) -> str:
    """Return a local path as absolute, from `folder`; a remote one unchanged."""
    if REMOTE.match(path) or is_reference(path):
        return path
    return os.path.abspath(folder / Path(path).expanduser())


def overrides(sets: Sequence[str] | None, force_string: bool) -> dict[str, str]:
    """Return the values of `--set`, as dotted keys to JSON or text; with `--force-string` as text.

    Raises:
        UsageError: a word is not KEY=VALUE.
    """
    split = pairs("--set", sets)
    return as_text(split) if force_string else split


def with_changes(
    shown: Mapping[str, Any],
    sets: Sequence[str] | None,
    add: Sequence[str] | None,
    remove: Sequence[str] | None,
    force_string: bool,
) -> dict[str, Any]:
    """Return a copy of what `show` prints, changed by the options.

    Raises:
        UsageError: an option names no existing key, or adds to what is not a list.
    """
    data = dict(shown)
    for dotted, text in overrides(sets, force_string).items():
        put(data, dotted, value_of(text))
    for dotted in remove or ():
        drop(data, dotted)
    refuse_add(add)
    return data


def refuse_add(add: Sequence[str] | None) -> None:
    """Refuse `--add`: neither endpoints nor deployments of a model have a list.

    Raises:
        UsageError: saying what to use instead.
    """
    if add:
        raise UsageError(f"--add {add[0]}: there is no such list; tags and properties are mappings, use --set")
