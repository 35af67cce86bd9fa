"""The JSON Schema for editors: it refuses what is wrong, and nothing that batchtwin takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batchtwin.deployment.json_schema import json_schema
from batchtwin.deployment.schema import Deployment
from batchtwin.errors import BatchTwinError
from support import ROOT, batchtwin

jsonschema: Any = pytest.importorskip("jsonschema")
SCHEMA = jsonschema.Draft7Validator(json_schema())
ROOT_KEYS = {
    "name": "my-deployment",
    "endpoint_name": "my-endpoint",
    "model": "azureml:heart:1",
    "compute": "azureml:cluster",
}
SETTINGS = {"mini_batch_size": 2}
GOOD: dict[str, dict[str, Any]] = {
    "least": {"type": "model"},
    "legacy": {"mini_batch_size": 3, "output_action": "Summary_Only", "provisioning_state": "Succeeded"},
    "type in capitals": {"type": "MODEL", "settings": SETTINGS},
    "threshold without settings": {"type": "model", "error_threshold": 3},
    "numbers as text": {"type": "model", "settings": {"mini_batch_size": "2", "error_threshold": "-1"}},
    "2.0 is whole": {"type": "model", "settings": {"mini_batch_size": 2.0}},
    "choices in capitals": {"type": "model", "settings": {**SETTINGS, "logging_level": "DEBUG"}},
    "variables of numbers": {"type": "model", "settings": {**SETTINGS, "environment_variables": {"N": 3, "X": 0.5}}},
    "inline model": {
        "type": "model",
        "model": {"path": "model", "name": "heart", "version": 3, "type": "MLflow_Model"},
    },
    "remote model": {"type": "model", "model": {"path": "https://example.com/model", "name": "heart"}},
    "environment": {"type": "model", "environment": {"image": "python:3.11", "version": 1}},
    "build": {"type": "model", "environment": {"build": {"path": "."}}},
    "docker_args": {"type": "model", "resources": {"docker_args": "--gpus all"}},
    "docker_args of many": {"type": "model", "resources": {"docker_args": ["--gpus", "all"]}},
    "read-only keys": {"type": "model", "$schema": "x", "model": {"path": "model", "id": "a", "latest_version": 3}},
    "tags": {"type": "model", "tags": {"a": 1, "title": None}, "properties": {"title": "x"}},
}
BAD: dict[str, dict[str, Any]] = {
    "unknown key": {"type": "model", "mini_batch": 3},
    "pipeline": {"type": "pipeline"},
    "type of a number": {"type": 3},
    "settings without type": {"settings": SETTINGS},
    "settings without size": {"type": "model", "settings": {}},
    "size at the root": {"type": "model", "mini_batch_size": 3},
    "threshold beside settings": {"type": "model", "settings": SETTINGS, "error_threshold": 3},
    "size of none": {"type": "model", "settings": {"mini_batch_size": 0}},
    "size too large": {"type": "model", "settings": {"mini_batch_size": 2**31}},
    "half a file": {"type": "model", "settings": {"mini_batch_size": 2.5}},
    "size true": {"type": "model", "settings": {"mini_batch_size": True}},
    "size of a word": {"type": "model", "settings": {"mini_batch_size": "many"}},
    "empty value": {"type": "model", "description": None},
    "threshold below -1": {"type": "model", "settings": {**SETTINGS, "error_threshold": -2}},
    "timeout 0": {"type": "model", "settings": {**SETTINGS, "retry_settings": {"timeout": 0}}},
    "unknown in a block": {"type": "model", "settings": {**SETTINGS, "retry_settings": {"retries": 0}}},
    "action": {"type": "model", "settings": {**SETTINGS, "output_action": "append"}},
    "level": {"type": "model", "settings": {**SETTINGS, "logging_level": "trace"}},
    "file in a folder": {"type": "model", "settings": {**SETTINGS, "output_file_name": "a/b.csv"}},
    "file with a backslash": {"type": "model", "settings": {**SETTINGS, "output_file_name": "a\\b.csv"}},
    "file ..": {"type": "model", "settings": {**SETTINGS, "output_file_name": ".."}},
    "name without file": {
        "type": "model",
        "settings": {**SETTINGS, "output_action": "summary_only", "output_file_name": "a.csv"},
    },
    "name without file, legacy": {"output_action": "SUMMARY_ONLY", "output_file_name": "a.csv"},
    "variable true": {"type": "model", "settings": {**SETTINGS, "environment_variables": {"A": True}}},
    "variable name": {"type": "model", "settings": {**SETTINGS, "environment_variables": {"A=B": "x"}}},
    "short name": {"type": "model", "name": "ab"},
    "name ends in a dash": {"type": "model", "name": "abc-"},
    "name with underscore": {"type": "model", "endpoint_name": "my_endpoint"},
    "model without prefix": {"type": "model", "model": "heart:1"},
    "model without path": {"type": "model", "model": {"name": "heart"}},
    "version without name": {"type": "model", "model": {"path": "model", "version": 1}},
    "remote without name": {"type": "model", "model": {"path": "https://example.com/model"}},
    "script without environment": {"type": "model", "code_configuration": {"code": ".", "scoring_script": "a.py"}},
    "script without file": {
        "type": "model",
        "environment": "azureml:env:1",
        "code_configuration": {"code": ".", "scoring_script": ""},
    },
    "environment of nothing": {"type": "model", "environment": {"name": "own"}},
    "image and build": {"type": "model", "environment": {"image": "python:3.11", "build": {"path": "."}}},
    "instance_count twice": {
        "type": "model",
        "resources": {"instance_count": 1},
        "settings": {**SETTINGS, "instance_count": 1},
    },
    "instance_count, legacy": {"instance_count": 1},
    "empty resources": {"type": "model", "resources": None},
}


def is_taken(tmp_path: Path, data: dict[str, Any]) -> bool:
    path = tmp_path / "deployment.yml"
    path.write_text(yaml.safe_dump(data))
    try:
        Deployment.load(path)
    except BatchTwinError:
        return False
    return True


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("keys", GOOD.values(), ids=GOOD)
def test_what_is_right_is_right(tmp_path: Path, keys: dict[str, Any]) -> None:
    data = ROOT_KEYS | keys
    assert is_taken(tmp_path, data)
    assert list(SCHEMA.iter_errors(data)) == []


@pytest.mark.parametrize("keys", BAD.values(), ids=BAD)
def test_what_is_wrong_is_refused(tmp_path: Path, keys: dict[str, Any]) -> None:
    data = ROOT_KEYS | keys
    assert not is_taken(tmp_path, data)
    assert not SCHEMA.is_valid(data)


@pytest.mark.parametrize("key", ROOT_KEYS)
def test_required_keys(key: str) -> None:
    assert not SCHEMA.is_valid({"type": "model"} | {name: value for name, value in ROOT_KEYS.items() if name != key})


@pytest.mark.parametrize("path", sorted(ROOT.glob("deployment-*/*.yml")), ids=lambda path: path.name)
def test_the_deployments_of_this_project(path: Path) -> None:
    assert list(SCHEMA.iter_errors(yaml.safe_load(path.read_text()))) == []


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2.0, 2.5, "", "2", "x", "a/b", "azureml:a:1", [], {}]),
)
KEYS = sorted({*Deployment.model_fields, "type", *Deployment.model_fields["settings"].default.model_fields_set})


@given(
    st.dictionaries(st.sampled_from([*KEYS, "mini_batch_size", "output_action", "$schema", "id"]), VALUES, max_size=3)
)
def test_what_it_refuses_batchtwin_refuses_too(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Any]) -> None:
    data = ROOT_KEYS | keys
    if not SCHEMA.is_valid(data):
        assert not is_taken(tmp_path_factory.getbasetemp(), data)


SETTING_KEYS = sorted(json_schema()["definitions"]["Settings"]["properties"])


@given(st.dictionaries(st.sampled_from(SETTING_KEYS), VALUES, max_size=3))
def test_nor_in_a_block(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Any]) -> None:
    data = {**ROOT_KEYS, "type": "model", "settings": {**SETTINGS, **keys}}
    if not SCHEMA.is_valid(data):
        assert not is_taken(tmp_path_factory.getbasetemp(), data)


def test_the_command_prints_it() -> None:
    done = batchtwin("schema")
    assert (done.code, json.loads(done.out)) == (0, json_schema())
