"""A YAML file as plain data plus the line of every key, so that errors can name both."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from batchtwin.errors import DeploymentError, Problem
from batchtwin_node.codec import value_object

Key = tuple[str | int, ...]
# More than any deployment needs, and less than what breaks tools that read it later.
MAX_DEPTH = 50
MAX_VALUES = 100_000
# Lone surrogates cannot be written, NUL cannot stand in a path or a variable.
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


class Loader(yaml.SafeLoader):
    """The safe loader; it also names the line of an invalid number or date."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build the value of `node`."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from None


@value_object
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
        data, lines = _parse(path, _text(path))
        if not isinstance(data, dict):
            raise _wrong(path, 1, f"expected a mapping of keys to values, found {_kind(data)}")
        return cls(path, data, lines)


def key_location(path: Path, key: Key, overrides: Collection[str] = ()) -> str:
    """Return `file:line` of a key, or the file where it has no line; `--set` for a key that `overrides` gives."""
    dotted = ".".join(map(str, key))
    if any(f"{dotted}.".startswith(f"{override}.") for override in overrides):
        return "--set"
    try:
        lines = YamlFile.read(path).lines
    except DeploymentError:
        return str(path)
    line = next((lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in lines), None)
    return f"{path}:{line}" if line else str(path)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise _wrong(path, None, "no such file: give the path of a deployment YAML") from None
    except IsADirectoryError:
        inside = next((name for name in ("deployment.yml", "deployment.yaml") if (path / name).is_file()), None)
        advice = f"give {path / inside}" if inside else "give the deployment YAML in it"
        raise _wrong(path, None, f"is a folder; {advice}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _wrong(path, line, f"not UTF-8 text: byte 0x{content[error.start]:02x}; save it as UTF-8") from None
    except OSError as error:
        raise _wrong(path, None, f"cannot be read: {error.strerror}") from None


def _parse(path: Path, text: str) -> tuple[Any, dict[Key, int]]:
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        _measure(path, node)
        lines = _lines(path, node)
        return loader.construct_document(node), lines
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _wrong(
            path, line, f"not valid YAML: character U+{ord(text[error.position]):04X} is not allowed"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _wrong(path, mark.line + 1 if mark else None, f"not valid YAML: {error.problem}") from None
    except RecursionError:
        raise _wrong(path, None, f"nested more than {MAX_DEPTH} levels deep") from None


def _wrong(path: Path, line: int | None, text: str) -> DeploymentError:
    return DeploymentError(path, [Problem("", line, text)])


def _kind(data: object) -> str:
    return "an empty file" if data is None else f"a {type(data).__name__}"


def _measure(path: Path, root: yaml.Node) -> None:
    """Refuse YAML that later steps cannot handle: endless or exploding aliases, unprintable text."""
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: yaml.Node) -> int:
        line = node.start_mark.line + 1
        if id(node) in above:
            raise _wrong(path, line, "an alias that holds itself")
        if len(above) > MAX_DEPTH:
            raise _wrong(path, line, f"nested more than {MAX_DEPTH} levels deep")
        if id(node) not in sizes:
            if isinstance(node, yaml.ScalarNode) and _UNUSABLE.search(node.value):
                raise _wrong(path, line, f"{node.value!r} is not text that a file or a process can take")
            above.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, _inner(node)))
            above.remove(id(node))
        return sizes[id(node)]

    if size(root) > MAX_VALUES:
        raise _wrong(path, 1, f"its aliases unfold to more than {MAX_VALUES:,} values")


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _lines(path: Path, root: yaml.Node) -> dict[Key, int]:
    """Return the line of every key. A node that an alias repeats is not walked again."""
    line_of: dict[Key, int] = {}
    walked: set[int] = set()
    waiting: list[tuple[Key, yaml.Node]] = [((), root)]
    while waiting:
        at, node = waiting.pop()
        if id(node) in walked:
            continue
        walked.add(id(node))
        for key, mark, value in _children(node):
            path_of_key, line = (*at, key), mark.line + 1
            if path_of_key in line_of:
                raise _wrong(path, line, f"key '{key}' is given twice, first on line {line_of[path_of_key]}")
            line_of[path_of_key] = line
            waiting.append((path_of_key, value))
    return line_of


def _children(node: yaml.Node) -> list[tuple[str | int, yaml.Mark, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), key.start_mark, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(index, value.start_mark, value) for index, value in enumerate(node.value)]
    return []
