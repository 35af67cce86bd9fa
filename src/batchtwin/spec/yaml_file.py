"""A YAML file as plain data plus the line of every key, so that errors can name both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from batchtwin.errors import DeploymentError, Problem

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlFile:
    """`data` as written and `lines`: for each key path the line, from 1, on which it stands."""

    path: Path
    data: dict[str, Any]
    lines: dict[Key, int]

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Read a YAML mapping.

        Raises:
            DeploymentError: the file is missing, is not YAML, repeats a key or is not a mapping.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise _wrong(path, None, "no such file: give the path of a deployment YAML") from None
        except (OSError, UnicodeDecodeError) as error:
            raise _wrong(path, None, f"cannot be read: {error}") from None
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            lines = _lines(path, node) if node else {}
            data = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise _wrong(path, line, f"not valid YAML: {error.problem or error.context}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise _wrong(path, None, f"not valid YAML: {error}") from None
        if not isinstance(data, dict):
            raise _wrong(path, 1, f"expected a mapping of keys to values, found {_kind(data)}")
        return cls(path, data, lines)


def _wrong(path: Path, line: int | None, text: str) -> DeploymentError:
    return DeploymentError(path, [Problem("", line, text)])


def _kind(data: object) -> str:
    return "an empty file" if data is None else f"a {type(data).__name__}"


def _lines(path: Path, root: yaml.Node) -> dict[Key, int]:
    """Return the line of every key. A node reached again through an alias is not walked again."""
    found: dict[Key, int] = {}
    walked: set[int] = set()
    waiting: list[tuple[Key, yaml.Node]] = [((), root)]
    while waiting:
        at, node = waiting.pop()
        if id(node) in walked:
            continue
        walked.add(id(node))
        for key, mark, value in _children(node):
            place, line = (*at, key), mark.line + 1
            if place in found:
                raise _wrong(path, line, f"key '{key}' is given twice, first on line {found[place]}")
            found[place] = line
            waiting.append((place, value))
    return found


def _children(node: yaml.Node) -> list[tuple[str | int, yaml.Mark, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), key.start_mark, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(index, value.start_mark, value) for index, value in enumerate(node.value)]
    return []
