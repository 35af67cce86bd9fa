"""A YAML file as data and lines: what it says, and what is wrong with it, by file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchtwin.deployment.yaml_file import MAX_DEPTH, Key, YamlFile
from batchtwin.errors import DeploymentError


def read(tmp_path: Path, content: str | bytes) -> YamlFile:
    path = tmp_path / "some.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return YamlFile.read(path)


def refusal(tmp_path: Path, content: str | bytes) -> str:
    """The error's text without the path of the file, which it must start with."""
    with pytest.raises(DeploymentError) as caught:
        read(tmp_path, content)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'some.yml'}:")
    return text.removeprefix(f"{tmp_path / 'some.yml'}:")


LINES: dict[str, tuple[str, dict[Key, int]]] = {
    "flat": ("a: 1\n\n# why\nb: 2\n", {("a",): 1, ("b",): 4}),
    "nested": ("a:\n  b:\n    c: 1\n  d: 2\n", {("a",): 1, ("a", "b"): 2, ("a", "b", "c"): 3, ("a", "d"): 4}),
    "list": ("a:\n- x\n- b: 1\n", {("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, "b"): 3}),
    "flow": ('{"a": 1,\n "b": {"c": 2}}', {("a",): 1, ("b",): 2, ("b", "c"): 2}),
    "multi-line text": ("a: |\n  x\n  y\nb: 1\n", {("a",): 1, ("b",): 4}),
    "CRLF": ("a: 1\r\nb: 2\r\n", {("a",): 1, ("b",): 2}),
    "document mark": ("---\na: 1\n...\n", {("a",): 2}),
    "keys that are no text": ("1: a\ntrue: b\n", {("1",): 1, ("true",): 2}),
    "an alias is walked once": ("a: &x\n  b: 1\nc: *x\n", {("a",): 1, ("a", "b"): 2, ("c",): 3}),
}


@pytest.mark.parametrize(("text", "lines"), LINES.values(), ids=LINES)
def test_lines(text: str, lines: dict[Key, int], tmp_path: Path) -> None:
    found = read(tmp_path, text).lines
    if "*" in text:
        # Which of the two mentions is walked is not promised, only that there is one.
        assert found.items() & lines.items() and len(found) == len(lines)
    else:
        assert found == lines


DATA: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "alias": ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
    "merge": ("a: &x {p: 1}\nb:\n  <<: *x\n  p: 2\n  q: 3\n", {"a": {"p": 1}, "b": {"p": 2, "q": 3}}),
    "byte order mark": (b"\xef\xbb\xbfa: 1\n", {"a": 1}),
    "unicode": ("a: grün 🙂\n", {"a": "grün 🙂"}),
    "same key in two places": ("a: {x: 1}\nb: {x: 1}\n", {"a": {"x": 1}, "b": {"x": 1}}),
    "deep enough": ("a: " + "[" * 40 + "]" * 40, {"a": eval("[" * 40 + "]" * 40)}),  # noqa: S307
    "many values": ("a: [" + "1, " * 5000 + "1]", {"a": [1] * 5001}),
}


@pytest.mark.parametrize(("text", "data"), DATA.values(), ids=DATA)
def test_data(text: str | bytes, data: dict[str, Any], tmp_path: Path) -> None:
    assert read(tmp_path, text).data == data


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n" for before, after in zip("abcdef", "bcdefg", strict=True)
)
WRONG: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "1: expected a mapping of keys to values, found an empty file"),
    "only comments": ("# a\n# b\n", "1: expected a mapping of keys to values, found an empty file"),
    "list": ("- a\n", "1: expected a mapping of keys to values, found a list"),
    "text": ("hello\n", "1: expected a mapping of keys to values, found a str"),
    "key twice": ("a: 1\nb: 2\na: 3\n", "3: key 'a' is given twice, first on line 1"),
    "key twice, quoted": ("a: 1\n'a': 3\n", "2: key 'a' is given twice, first on line 1"),
    "key twice, nested": ("a:\n  b: 1\n  b: 2\n", "3: key 'b' is given twice, first on line 2"),
    "key twice, in a list": ("- 1\n- {b: 1, b: 2}\n", "2: key 'b' is given twice, first on line 2"),
    "unclosed": ("a: {b\n", "2: not valid YAML: expected ',' or '}', but got '<stream end>'"),
    "tab": ("a: 1\n\tb: 2\n", "2: not valid YAML: found character '\\t' that cannot start any token"),
    "two documents": ("a: 1\n---\nb: 2\n", "2: not valid YAML: but found another document"),
    "unknown alias": ("a: 1\nb: *c\n", "2: not valid YAML: found undefined alias 'c'"),
    "unknown tag": ("a: 1\nb: !c d\n", "2: not valid YAML: could not determine a constructor for the tag '!c'"),
    "no such date": ("a: 1\nb: 2024-13-01\n", "2: not valid YAML: month must be in 1..12"),
    "list as key": ("a: 1\n[b]: 2\n", "2: not valid YAML: found unhashable key"),
    "latin-1": (b"a: 1\nb: caf\xe9\n", "2: not UTF-8 text: byte 0xe9; save it as UTF-8"),
    "binary": (b"\x89PNG\r\n\x1a\n", "1: not UTF-8 text: byte 0x89; save it as UTF-8"),
    "UTF-16": ("a: 1\n".encode("utf-16"), "1: not UTF-8 text: byte 0xff; save it as UTF-8"),
    "NUL": ("a: 1\nb: \0\n", "2: not valid YAML: character U+0000 is not allowed"),
    "escaped NUL": ('a: 1\nb: "x\\0"\n', "2: 'x\\x00' is not text that a file or a process can take"),
    "lone surrogate": ('a: "\\ud800"\n', "1: '\\ud800' is not text that a file or a process can take"),
    "alias in itself": ("a: 1\nb: &x\n- *x\n", "2: an alias that holds itself"),
    "deep": ("a: 1\nb: " + "[" * 60 + "]" * 60, f"2: nested more than {MAX_DEPTH} levels deep"),
    "very deep": ("a: " + "{b: " * 5000 + "}" * 5000, f" nested more than {MAX_DEPTH} levels deep"),
    "exploding aliases": (BOMB, "1: its aliases unfold to more than 100,000 values"),
}


@pytest.mark.parametrize(("content", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_and_where(content: str | bytes, text: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, content) == text


def test_a_number_too_long_for_python(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a: 1\nb: " + "9" * 5000).startswith("2: not valid YAML: Exceeds the limit")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="no such file: give the path of a deployment YAML"):
        YamlFile.read(tmp_path / "some.yml")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="is a folder; give the deployment YAML in it"):
        YamlFile.read(tmp_path)


def test_a_file_of_somebody_else(ordinary_user: Path) -> None:
    path = ordinary_user / "some.yml"
    path.write_text("a: 1\n")
    path.chmod(0)
    with pytest.raises(DeploymentError, match="cannot be read: Permission denied"):
        YamlFile.read(path)
