"""endpoint.yml, read by the real azure-ai-ml and by batchtwin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtwin.azure.cli.documents import EndpointDocument
from batchtwin.azure.cli.files import Source
from batchtwin.errors import DeploymentError
from support import ROOT

REMOVED = None
BASE: dict[str, Any] = {
    "$schema": "https://azuremlschemas.azureedge.net/latest/batchEndpoint.schema.json",
    "name": "my-endpoint",
    "description": "An endpoint",
    "auth_mode": "aad_token",
    "tags": {"team": "red"},
    "properties": {"colour": "green"},
    "defaults": {"deployment_name": "my-deployment"},
}
Change = tuple[str, str | None]


def sdk(path: Path) -> dict[str, Any]:
    """What `az ml batch-endpoint create -f` makes of the file, with what the service fills in."""
    from azure.ai.ml import load_batch_endpoint

    read = load_batch_endpoint(path)
    return {
        "name": read.name,
        "description": read.description or "",
        "auth_mode": read.auth_mode,
        "tags": read.tags,
        "properties": read.properties,
        "default": (read.defaults or {}).get("deploymentName"),
    }


def ours(path: Path) -> dict[str, Any]:
    read = Source.read(path).check(EndpointDocument)
    keys = {"name", "description", "auth_mode", "tags", "properties"}
    return {**read.model_dump(include=keys), "default": read.defaults.deployment_name}


def changed(folder: Path, dotted: str, text: str | None) -> Path:
    """The good file with one key set to YAML text, or removed (None)."""
    data = yaml.safe_load(yaml.safe_dump(BASE))
    *above, key = dotted.split(".")
    part = data
    for name in above:
        part = part[name]
    if text is None:
        del part[key]
    else:
        part[key] = yaml.safe_load(text)
    path = folder / "endpoint.yml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def test_the_endpoint_of_this_project() -> None:
    written = yaml.safe_load((ROOT / "endpoint.yml").read_text())
    deployment = yaml.safe_load((ROOT / "deployment-simple/deployment.yml").read_text())
    read = sdk(ROOT / "endpoint.yml")
    assert read == ours(ROOT / "endpoint.yml")
    assert read["name"] == written["name"] == deployment["endpoint_name"]
    assert (read["description"], read["auth_mode"]) == (written["description"], "aad_token")


ALIKE: list[Change] = [
    ("name", "Another1"),
    ("description", REMOVED),
    ("description", "''"),
    ("auth_mode", REMOVED),
    ("auth_mode", "AAD_TOKEN"),
    ("tags", REMOVED),
    ("tags", "{}"),
    ("tags", "{a: 1, b: [2]}"),
    ("properties", REMOVED),
    ("defaults", REMOVED),
    ("defaults", "{}"),
    ("$schema", REMOVED),
    ("scoring_uri", "https://example.com/jobs"),
]


@pytest.mark.parametrize(("key", "value"), ALIKE)
def test_what_both_take_both_understand_alike(key: str, value: str | None, tmp_path: Path) -> None:
    path = changed(tmp_path, key, value)
    assert ours(path) == sdk(path)


BAD: list[Change] = [
    ("name", REMOVED),
    ("name", "null"),
    ("name", "7"),
    ("name", "[a]"),
    ("name", "''"),
    ("name", "a_name"),
    ("name", "1st-name"),
    ("name", "a-name-"),
    ("description", "3"),
    ("description", "null"),
    ("auth_mode", "password"),
    ("auth_mode", "null"),
    ("tags", "null"),
    ("tags", "red"),
    ("tags", "[a]"),
    ("properties", "null"),
    ("properties", "x"),
    ("defaults", "null"),
    ("defaults", "my-deployment"),
    ("defaults", "[a]"),
    ("defaults.deployment_name", "null"),
    ("defaults.deployment_name", "3"),
    ("defaults.deployment_name", "[a]"),
    ("defaults.colour", "red"),
    ("traffic", "{a: 100}"),
    ("compute", "cluster"),
    ("colour", "red"),
    ("location", "3"),
    ("id", "3"),
    ("$schema", "null"),
    ("provisioning_state", "null"),
    ("identity", "x"),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_what_the_sdk_refuses_we_refuse(key: str, value: str | None, tmp_path: Path) -> None:
    path = changed(tmp_path, key, value)
    with pytest.raises(Exception):  # noqa: B017  (marshmallow's, azure's own, and TypeErrors of its own making)
        sdk(path)
    with pytest.raises(DeploymentError, match=key.split(".")[-1].replace("$", r"\$")):
        ours(path)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("name", "ab", "the service refuses such names"),
        ("name", "a" * 33, "the service refuses such names"),
        ("auth_mode", "key", "is for online endpoints"),
    ],
)
def test_what_only_we_refuse(key: str, value: str, why: str, tmp_path: Path) -> None:
    path = changed(tmp_path, key, value)
    assert sdk(path), why
    with pytest.raises(DeploymentError, match=key):
        ours(path)
