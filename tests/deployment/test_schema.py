"""deployment.yml -> Deployment: defaults, ranges, and what is said about a value that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from batchtwin.deployment.schema import Deployment, InlineEnvironment, InlineModel
from batchtwin.errors import DeploymentError

BASE = """\
type: model
name: my-deployment
endpoint_name: my-endpoint
model: azureml:heart:1
compute: azureml:cluster
"""
FULL = """\
$schema: https://azuremlschemas.azureedge.net/latest/modelBatchDeployment.schema.json
type: model
name: my-deployment
endpoint_name: my-endpoint
description: All keys
tags: {since: 2024-01-01, 1: one}
properties: {a: b}
model: {path: model, name: heart, version: 3, type: MLFLOW_MODEL}
compute: azureml:cluster
code_configuration:
  code: code
  scoring_script: sub/driver.py
environment:
  name: own
  image: python:3.11
  conda_file: conda.yaml
resources:
  instance_count: 2
settings:
  mini_batch_size: 4
  max_concurrency_per_instance: 3
  retry_settings: {max_retries: 5, timeout: 60}
  output_action: append_row
  output_file_name: rows.csv
  error_threshold: 7
  logging_level: DEBUG
  environment_variables: {TEXT: "yes", NUMBER: 3, SHARE: 0.5}
"""


def load(tmp_path: Path, text: str) -> Deployment:
    path = tmp_path / "deployment.yml"
    path.write_text(text)
    (tmp_path / "conda.yaml").write_text("dependencies: [python]\n")
    return Deployment.load(path)


def refusals(tmp_path: Path, text: str) -> list[str]:
    """The lines of the error, each without the path of the file."""
    with pytest.raises(DeploymentError) as caught:
        load(tmp_path, text)
    start = f"{tmp_path / 'deployment.yml'}:"
    lines = str(caught.value).splitlines()
    assert all(line.startswith(start) for line in lines)
    return [line.removeprefix(start) for line in lines]


def test_defaults(tmp_path: Path) -> None:
    deployment = load(tmp_path, BASE)
    settings = deployment.settings
    assert (deployment.instance_count, deployment.workers) == (1, 1)
    assert (settings.mini_batch_size, settings.max_concurrency_per_instance) == (10, 1)
    assert (settings.retry_settings.max_retries, settings.retry_settings.timeout) == (3, 30)
    assert (settings.output_action, settings.output_file_name) == ("append_row", "predictions.csv")
    assert (settings.error_threshold, settings.logging_level, settings.environment_variables) == (-1, "info", {})
    assert (deployment.code_configuration, deployment.environment) == (None, None)


def test_every_key(tmp_path: Path) -> None:
    deployment = load(tmp_path, FULL)
    assert isinstance(deployment.model, InlineModel)
    assert (deployment.model.path, deployment.model.version, deployment.model.type) == ("model", "3", "mlflow_model")
    assert isinstance(deployment.environment, InlineEnvironment)
    assert deployment.environment.conda_file == "conda.yaml"
    assert deployment.code_configuration is not None
    assert deployment.code_configuration.scoring_script == "sub/driver.py"
    assert deployment.tags == {"since": "2024-01-01", "1": "one"}
    assert (deployment.instance_count, deployment.workers) == (2, 6)
    settings = deployment.settings
    assert settings.retry_settings.tries == 5
    assert settings.logging_level == "debug"
    assert settings.environment_variables == {"TEXT": "yes", "NUMBER": "3", "SHARE": "0.5"}


def test_a_deployment_does_not_change(tmp_path: Path) -> None:
    deployment = load(tmp_path, BASE)
    with pytest.raises(ValidationError, match="frozen"):
        deployment.name = "other"


@pytest.mark.parametrize(("max_retries", "tries"), [(0, 1), (1, 1), (2, 2), (3, 3)])
def test_tries(max_retries: int, tries: int, tmp_path: Path) -> None:
    text = f"{BASE}settings: {{mini_batch_size: 1, retry_settings: {{max_retries: {max_retries}}}}}\n"
    assert load(tmp_path, text).settings.retry_settings.tries == tries


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("resources: {}\n", 1),
        ("resources: {instance_count: 3}\n", 3),
        ("settings: {mini_batch_size: 1, instance_count: 4}\n", 4),
    ],
)
def test_instance_count(text: str, count: int, tmp_path: Path) -> None:
    assert load(tmp_path, BASE + text).instance_count == count


REFERENCE = "must be azureml:NAME:VERSION, azureml:NAME@latest, a full azureml: id, or a mapping"
NAME = "must be 3 to 32 letters, digits and -, start with a letter and not end with -"
INSIDE_MODEL = "datastore, description, flavors, name, path, properties, stage, system_metadata, tags, type, version"
# Lines added after line 5 of the base -> what is said, from the line on.
WRONG: dict[str, list[str]] = {
    "settings: {mini_batch_size: 0}": [
        "6: settings.mini_batch_size: 0 is out of range; allowed is at least 1",
    ],
    "settings: {mini_batch_size: 3000000000}": [
        "6: settings.mini_batch_size: 3000000000 is out of range; allowed is at most 2147483647",
    ],
    "settings: {mini_batch_size: 2.7}": ["6: settings.mini_batch_size: 2.7 is not a whole number"],
    "settings: {mini_batch_size: two}": ["6: settings.mini_batch_size: 'two' is not a whole number"],
    "settings: {mini_batch_size: }": ["6: settings.mini_batch_size: has no value; give one or remove the key"],
    "settings: {logging_level: info}": [
        "6: settings.mini_batch_size: is required in a settings block, "
        "as azure-ai-ml cannot read one without; add mini_batch_size: 10",
    ],
    "settings:\n  minibatch_size: 1\n  retry_setting: {}": [
        "7: settings.minibatch_size: unknown key; did you mean mini_batch_size?",
        "8: settings.retry_setting: unknown key; did you mean retry_settings?",
    ],
    "settings:\n  error_treshold: 1": [
        "7: settings.error_treshold: unknown key; did you mean error_threshold?",
        "6: settings.mini_batch_size: is required in a settings block, "
        "as azure-ai-ml cannot read one without; add mini_batch_size: 10",
    ],
    "settings:\n  mini_batch_size: 1\n  error_threshold: -2\n  mini_batch_sise: 3": [
        "8: settings.error_threshold: -2 is out of range; allowed is at least -1",
        "9: settings.mini_batch_sise: unknown key; did you mean mini_batch_size?",
    ],
    "settings:\n  mini_batch_size: 1\n  retry_settings:\n    timeout: 0": [
        "9: settings.retry_settings.timeout: 0 is out of range; allowed is at least 1",
    ],
    "settings:\n  mini_batch_size: 1\n  retry_settings: 3": [
        "8: settings.retry_settings: 3 is not a mapping; its keys may be max_retries, timeout",
    ],
    "settings:\n  mini_batch_size: 1\n  retry_settings: {colour: red}": [
        "8: settings.retry_settings.colour: unknown key; allowed are max_retries, timeout",
    ],
    "settings:\n  mini_batch_size: 1\n  logging_level: verbose": [
        "8: settings.logging_level: 'verbose' is not known; allowed is 'warning', 'info' or 'debug'",
    ],
    "settings:\n  mini_batch_size: 1\n  output_action: append": [
        "8: settings.output_action: 'append' is not known; allowed is 'append_row' or 'summary_only'",
    ],
    "settings:\n  mini_batch_size: 1\n  output_file_name: a/b.csv": [
        "8: settings.output_file_name: 'a/b.csv' must be a bare file name, without a folder",
    ],
    "settings:\n  output_file_name: a.csv\n  mini_batch_size: 1\n  output_action: summary_only": [
        "7: settings.output_file_name: does not go with output_action: summary_only; remove one of them",
    ],
    "settings:\n  mini_batch_size: 1\n  environment_variables:\n    A: true\n    B:\n    C: [1]\n    D=: x\n    7: y": [
        "9: settings.environment_variables.A: True is not text; put it in quotes",
        "10: settings.environment_variables.B: has no value; give one or remove the key",
        "11: settings.environment_variables.C: [1] is not text",
        "8: settings.environment_variables: 'D=' is not the name of an environment variable",
    ],
    "settings:\n  mini_batch_size: 1\n  environment_variables: {7: x}": [
        "8: settings.environment_variables: 7 is not text; put it in quotes",
    ],
    "settings:\n  mini_batch_size: 1\n  environment_variables: [A]": [
        "8: settings.environment_variables: ['A'] is not a mapping of names to values",
    ],
    "settings:\n  mini_batch_size: 1\n  instance_count: 2\nresources: {}": [
        "8: settings.instance_count: does not go with resources; write resources.instance_count",
    ],
    "resources: {locations: west}": ["6: resources.locations: 'west' is not a list"],
    "resources:\n  docker_args:\n  - a\n  - 3": ["9: resources.docker_args.1: 3 is not text; put it in quotes"],
    "code_configuration: {code: code, scoring_script: a.py}": [
        "6: code_configuration: needs an environment to run in; add environment: {image: ..., conda_file: ...}",
    ],
    "environment: azureml:own:1\ncode_configuration: {code: code}": [
        "7: code_configuration.scoring_script: is required; add it",
    ],
    "environment: azureml:own:1\ncode_configuration: {code: '', scoring_script: a.py}": [
        "7: code_configuration.code: is empty; give a value",
    ],
    "environment: own": [f"6: environment: 'own' {REFERENCE}"],
    "environment: 7": [f"6: environment: 7 {REFERENCE}"],
    "environment: {name: own}": ["6: environment: needs an image (with or without conda_file), or a build context"],
    "environment:\n  image: a\n  build: {path: .}": [
        "8: environment.build: does not go with image; remove one of them"
    ],
    "environment:\n  image: a\n  conda_file: [x]": [
        "8: environment.conda_file: ['x'] is neither the path of a conda file nor its content",
    ],
    "tags: {a: !!set {b}}": ["6: tags: must hold text, numbers, lists and mappings only, not a set"],
    "colour: red": [
        "6: colour: unknown key; allowed are code_configuration, compute, description, endpoint_name, environment, "
        "id, model, name, properties, resources, settings, tags, type",
    ],
    "descripton: red": ["6: descripton: unknown key; did you mean description?"],
}


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=WRONG)
def test_what_is_wrong(text: str, said: list[str], tmp_path: Path) -> None:
    texts = refusals(tmp_path, f"{BASE}{text}\n")
    assert texts[: len(said)] == said


ROOT_WRONG: dict[str, tuple[str, str, str]] = {
    "no name": ("name: my-deployment\n", "", " name: is required; add it"),
    "name too short": ("my-deployment", "ab", f"2: name: 'ab' {NAME}"),
    "name too long": ("my-deployment", "a" * 33, f"2: name: '{'a' * 33}' {NAME}"),
    "name of letters that are not ASCII": ("my-deployment", "grün", f"2: name: 'grün' {NAME}"),
    "name is a number": ("my-deployment", "2024", "2: name: 2024 is not text; put it in quotes"),
    "name is empty": ("my-deployment", "''", f"2: name: '' {NAME}"),
    "no model": ("model: azureml:heart:1\n", "", " model: is required; add it"),
    "model is a path": ("azureml:heart:1", "./model", f"4: model: './model' {REFERENCE}"),
    "model without path": ("azureml:heart:1", "{name: heart}", "4: model.path: is required; add it"),
    "model at an address": (
        "azureml:heart:1",
        "{path: 'https://example.com/model'}",
        "4: model.path: 'https://example.com/model' is remote; give a local path, or add the name it is registered "
        "under",
    ),
    "model with version only": (
        "azureml:heart:1",
        "{path: model, version: 2}",
        "4: model.version: goes with a name only; add name, or remove version",
    ),
    "model of a type unknown": (
        "azureml:heart:1",
        "{path: model, type: onnx}",
        "4: model.type: 'onnx' is not known; allowed is 'mlflow_model', 'custom_model' or 'triton_model'",
    ),
    "model with an unknown key": (
        "azureml:heart:1",
        "{path: model, colour: red}",
        f"4: model.colour: unknown key; allowed are {INSIDE_MODEL}",
    ),
    "compute is empty": ("azureml:cluster", "''", "5: compute: is empty; give a value"),
    "long values are cut": (
        "azureml:cluster",
        "[" + "x, " * 100 + "x]",
        f"5: compute: {str(['x'] * 101)[:100]}... is not text",
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), ROOT_WRONG.values(), ids=ROOT_WRONG)
def test_what_is_wrong_at_the_root(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert refusals(tmp_path, BASE.replace(old, new)) == [said]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = "type: model\nname: ab\nmodel: 7\ncompute: c\nsettings:\n  mini_batch_size: 0\n  error_threshold: x\n"
    with pytest.raises(DeploymentError) as caught:
        load(tmp_path, text)
    assert [(problem.key, problem.line) for problem in caught.value.problems] == [
        ("name", 2),
        ("endpoint_name", None),
        ("model", 3),
        ("settings.mini_batch_size", 6),
        ("settings.error_threshold", 7),
    ]


FILES: dict[str, tuple[str, str]] = {
    "missing conda file": ("{image: a, conda_file: no.yaml}", "environment.conda_file: 'no.yaml' is not there"),
    "conda file is a folder": ("{image: a, conda_file: .}", "environment.conda_file: '.' is not there"),
    "missing build context": (
        "{build: {path: nowhere}}",
        "environment.build.path: 'nowhere' is neither a web address nor there",
    ),
    "no web address": (
        "{build: {path: 'https://localhost'}}",
        "environment.build.path: 'https://localhost' is neither a web address nor there",
    ),
}


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES)
def test_files_that_are_not_there(text: str, said: str, tmp_path: Path) -> None:
    (line,) = refusals(tmp_path, f"{BASE}environment: {text}\n")
    assert line.startswith(f"6: {said}; looked for {tmp_path}")


def test_a_conda_file_that_is_not_yaml_is_named_itself(tmp_path: Path) -> None:
    (tmp_path / "torn.yaml").write_text("name: x\ndependencies: [python\n")
    with pytest.raises(DeploymentError, match=r"torn\.yaml:3: not valid YAML"):
        load(tmp_path, f"{BASE}environment: {{image: a, conda_file: torn.yaml}}\n")


@pytest.mark.parametrize("build", ["{path: .}", "{path: 'https://github.com/a/b.git#main:docker'}"])
def test_build_contexts(build: str, tmp_path: Path) -> None:
    assert load(tmp_path, f"{BASE}environment: {{build: {build}}}\n").environment


def test_relative_paths_are_relative_to_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "conda.yaml").write_text("dependencies: [python]\n")
    path = tmp_path / "deployments/deployment.yml"
    path.write_text(f"{BASE}environment: {{image: a, conda_file: ../conda.yaml}}\n")
    monkeypatch.chdir(tmp_path)
    assert Deployment.load(path) == Deployment.load(Path("deployments/deployment.yml"))


def test_inline_conda_content_is_kept(tmp_path: Path) -> None:
    environment = load(tmp_path, f"{BASE}environment: {{image: a, conda_file: {{dependencies: [x]}}}}\n").environment
    assert isinstance(environment, InlineEnvironment)
    assert environment.conda_file == {"dependencies": ["x"]}
