"""The words of a command: `--set`, paths, inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchtwin.azure.cli.endpoints import complete
from batchtwin.azure.cli.files import as_text, drop, given_pairs, pairs, put, value_of, yaml_path
from batchtwin.errors import DeploymentError, UsageError
from batchtwin.workspace.jobs.invocation import Invocation

NOTHING_SAID = Invocation("heart")


def test_pairs_are_split_at_the_first_equals_sign() -> None:
    assert pairs("--set", ["a.b=c=d", "e="]) == {"a.b": "c=d", "e": ""}


@pytest.mark.parametrize("word", ["a", "=b", "a..b=c", ".a=b"])
def test_what_is_no_pair_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        pairs("--set", [word])


def test_no_pairs_are_not_the_same_as_none_given() -> None:
    assert given_pairs("--tags", None) is None
    assert given_pairs("--tags", []) == {}


VALUES = [("1", 1), ("true", True), ('{"a": [1]}', {"a": [1]}), ('"1"', "1"), ("no", "no"), ("NaN", "NaN"), ("", "")]


@pytest.mark.parametrize(("text", "value"), [*VALUES, ("{", "{"), ("a: b", "a: b"), ("[" * 100_000, "[" * 100_000)])
def test_a_value_is_json_or_else_text(text: str, value: object) -> None:
    assert value_of(text) == value


def test_quoted_values_are_text() -> None:
    assert {key: value_of(text) for key, text in as_text({"a": "1", "b": "x"}).items()} == {"a": "1", "b": "x"}


def test_a_dotted_key_is_set_without_touching_what_was_given() -> None:
    inner: dict[str, Any] = {"x": 1}
    data: dict[str, Any] = {"tags": inner, "path": "p"}
    put(data, "tags.y.z", 2)
    put(data, "path.z", 3)
    assert data == {"tags": {"x": 1, "y": {"z": 2}}, "path": {"z": 3}}
    assert inner == {"x": 1}


def test_a_dotted_key_is_removed() -> None:
    data = {"tags": {"x": 1, "y": 2}}
    drop(data, "tags.x")
    assert data == {"tags": {"y": 2}}


@pytest.mark.parametrize("dotted", ["no", "no.x", "tags.no", "tags.x.y"])
def test_what_is_not_there_is_not_removed(dotted: str) -> None:
    with pytest.raises(UsageError, match="no such property"):
        drop({"tags": {"x": 1}}, dotted)


@pytest.mark.parametrize("path", ["https://x/y", "azureml://datastores/a/paths/b", "azureml:data:1", "runs:/1/model"])
def test_a_remote_path_stays_as_it_is(path: str) -> None:
    assert yaml_path(path, Path("/folder")) == path


def test_a_local_path_is_seen_from_the_folder() -> None:
    assert yaml_path("../x", Path("/folder")) == "/x"
    assert yaml_path("/x", Path("/folder")) == "/x"


def test_an_input_may_be_set_key_by_key() -> None:
    invocation = complete(NOTHING_SAID, None, ["inputs.heart.type=uri_file", "inputs.heart.path=azureml:heart@latest"])
    assert (invocation.input, invocation.input_type) == ("azureml:heart@latest", "uri_file")


def test_an_input_may_come_from_a_file_and_is_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yml"
    file.write_text("inputs: {heart: {type: uri_folder, path: data}}\noutputs: {score: {path: out}}\n")
    invocation = complete(NOTHING_SAID, file, ["outputs.score.type=uri_folder"])
    assert (invocation.input, invocation.output_path) == (str(tmp_path / "data"), str(tmp_path / "out"))


def test_the_name_of_the_output_is_the_users_own() -> None:
    invocation = complete(NOTHING_SAID, None, ["outputs.other.type=uri_file", "outputs.other.path=/x/y.csv"])
    assert (invocation.output_path, invocation.output_type) == ("/x/y.csv", "uri_file")


def test_settings_of_the_job_are_passed_on() -> None:
    invocation = complete(
        Invocation("heart", input="data"), None, ["output_file_name=x.csv", "compute.instance_count=3"]
    )
    assert invocation.overrides == {"output_file_name": "x.csv", "instance_count": "3"}


@pytest.mark.parametrize(
    "words",
    [
        ["inputs.a.path=x", "inputs.b.path=y"],
        ["outputs.score.path=x", "outputs.other.path=y"],
        ["inputs.a.nope=y"],
    ],
)
def test_more_than_one_input_or_output_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        complete(NOTHING_SAID, None, words)


def test_an_input_is_given_once() -> None:
    with pytest.raises(UsageError, match="give one input"):
        complete(Invocation("heart", input="y"), None, ["inputs.a.path=x"])


def test_a_wrong_key_of_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yml"
    file.write_text("inputs:\n  heart:\n    pat: data\n")
    with pytest.raises(DeploymentError, match=r"inputs.yml:3: inputs.heart.pat: unknown key; did you mean path"):
        complete(NOTHING_SAID, file, [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.b", "c", "d.e", "f"], {"a.b": "c", "d.e": "f"}),
        (["a.b", "https://x/y?sig=z="], {"a.b": "https://x/y?sig=z="}),
        (["a.b", "c.d", "e=f"], {"a.b": "c.d", "e": "f"}),
        (["a.b", ""], {"a.b": ""}),
    ],
)
def test_a_key_of_set_may_be_a_word_of_its_own(words: list[str], expected: dict[str, str]) -> None:
    assert pairs("--set", words) == expected


@pytest.mark.parametrize("words", [["a.b"], ["a.b", "c", "d"], ["a.b", "c=d"], ["a", "b"]])
def test_a_key_of_set_needs_its_value(words: list[str]) -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        pairs("--set", words)


def test_inputs_and_outputs_of_the_file_may_be_paths_alone(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yml"
    file.write_text("inputs: {heart: azureml:/heart@latest}\noutputs: {score: out}\n")
    invocation = complete(NOTHING_SAID, file, [])
    assert (invocation.input, invocation.output_path) == ("azureml:/heart@latest", str(tmp_path / "out"))
