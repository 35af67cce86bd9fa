"""heart-dataset-unlabeled.yml, read by the real azure-ai-ml and by batchtwin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtwin.azure.cli.documents import DataDocument
from batchtwin.azure.cli.files import Source
from batchtwin.errors import DeploymentError
from support import ROOT

REMOVED = None
BASE: dict[str, Any] = {
    "$schema": "https://azuremlschemas.azureedge.net/latest/data.schema.json",
    "name": "my-data",
    "version": "1",
    "description": "Some data",
    "type": "uri_folder",
    "path": "data",
    "tags": {"team": "red"},
}
Change = tuple[str, str | None]


def sdk(path: Path, **override: str) -> dict[str, Any]:
    """What `az ml data create -f` makes of the file; `override` is its --set."""
    from azure.ai.ml import load_data

    read = load_data(path, params_override=[{key.replace("__", "."): value} for key, value in override.items()])
    return {
        "name": read.name,
        "version": read.version,
        "description": read.description or "",
        "type": read.type,
        "path": str(read.path),
        "tags": read.tags,
    }


def ours(path: Path, **override: str) -> dict[str, Any]:
    read = Source.read(path, {key.replace("__", "."): value for key, value in override.items()}).check(DataDocument)
    return read.model_dump(include={"name", "version", "description", "type", "path", "tags"})


def changed(folder: Path, key: str, text: str | None) -> Path:
    """The good file with one key set to YAML text, or removed (None)."""
    data = {**BASE, key: yaml.safe_load(text or "")}
    if text is None:
        del data[key]
    (folder / "data").mkdir()
    path = folder / "data.yml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def test_the_data_of_this_project() -> None:
    path = ROOT / "heart-dataset-unlabeled.yml"
    read = sdk(path)
    assert read == ours(path)
    assert read["name"] == path.stem
    assert (read["type"], read["version"], read["path"]) == ("uri_folder", None, str(ROOT / "data"))


def test_the_tag_that_tells_whether_the_content_changed() -> None:
    path = ROOT / "heart-dataset-unlabeled.yml"
    read = sdk(path, tags__content="sha256-0123")
    assert read == ours(path, tags__content="sha256-0123")
    assert read["tags"] == {"content": "sha256-0123"}


ALIKE: list[Change] = [
    ("type", REMOVED),
    ("type", "uri_file"),
    ("type", "mltable"),
    ("version", REMOVED),
    ("version", "7"),
    ("version", "1.5"),
    ("description", REMOVED),
    ("description", "''"),
    ("tags", REMOVED),
    ("tags", "{}"),
    ("path", "./data/"),
    ("path", "https://example.com/data"),
    ("path", "azureml://datastores/workspaceblobstore/paths/data"),
    ("datastore", "workspaceblobstore"),
    ("$schema", REMOVED),
    ("id", "some-id"),
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
    ("type", "null"),
    ("type", "table"),
    ("type", "URI_FOLDER"),
    ("type", "custom_model"),
    ("path", REMOVED),
    ("path", "null"),
    ("path", "7"),
    ("path", "[data]"),
    ("version", "null"),
    ("version", "[1]"),
    ("description", "3"),
    ("description", "null"),
    ("tags", "null"),
    ("tags", "red"),
    ("tags", "[a]"),
    ("datastore", "3"),
    ("local_path", "data"),
    ("colour", "red"),
    ("$schema", "null"),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_what_the_sdk_refuses_we_refuse(key: str, value: str | None, tmp_path: Path) -> None:
    path = changed(tmp_path, key, value)
    with pytest.raises(Exception):  # noqa: B017  (marshmallow's, azure's own, and TypeErrors of its own making)
        sdk(path)
    with pytest.raises(DeploymentError, match=key.replace("$", r"\$")):
        ours(path)


def test_an_empty_path_is_refused_by_us_alone(tmp_path: Path) -> None:
    path = changed(tmp_path, "path", "''")
    assert sdk(path)["path"] == "."
    with pytest.raises(DeploymentError, match="path"):
        ours(path)
