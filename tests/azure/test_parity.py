"""What both the real azure-ai-ml and batchtwin take, both understand alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtwin.deployment.schema import Deployment, InlineEnvironment, InlineModel
from support import ROOT

Change = tuple[str, str | None]
Row = Sequence[Change]
Sdk = Callable[[str, Path], Any]
Ours = Callable[[Path], Deployment]
Write = Callable[[str, Row], Path]

REMOVED = None
ARM = (
    "azureml:/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/{}/asset{}"
).format
OPTIONAL = (
    "max_concurrency_per_instance",
    "retry_settings",
    "output_action",
    "output_file_name",
    "error_threshold",
    "logging_level",
    "environment_variables",
)
NO_SCRIPT: list[Change] = [("code_configuration", REMOVED), ("environment", REMOVED)]
BOTH: list[Row] = [
    [],
    NO_SCRIPT,
    [("$schema", REMOVED), ("description", REMOVED), ("tags", REMOVED), ("resources", REMOVED)],
    *([("settings." + key, REMOVED)] for key in OPTIONAL),
    *([("settings.mini_batch_size", text)] for text in ("'2'", "' 2 '", "'+2'", "2.0", "1_000", "'1_000'", "0x10")),
    *([("settings.error_threshold", text)] for text in ("0", "7", "'-1'", "2147483647")),
    [("settings.retry_settings", "{}")],
    [("settings.retry_settings", "{timeout: 7}")],
    [("settings.retry_settings", "{max_retries: 0}")],
    *([("settings.logging_level", text)] for text in ("debug", "warning", "WARNING", "Info")),
    *([("settings.output_action", text)] for text in ("APPEND_ROW", "Append_Row")),
    [("settings.output_action", "Summary_Only"), ("settings.output_file_name", REMOVED)],
    [("settings.output_file_name", "my results.txt")],
    [("settings.environment_variables", "{}")],
    [("settings.environment_variables", "{A: '', B: 1, C: 1.5, D: 1e3, E: ä}")],
    [("description", "''")],
    [("id", "some-id")],
    [("tags", "{}")],
    [("tags", "{a: null, b: 1, c: [1, {d: 2}]}")],
    [("properties", "{a: b}")],
    *([("compute", text)] for text in ("cluster", "azureml:cluster", ARM("computes", ""))),
    *(
        [*NO_SCRIPT, ("model", text)]
        for text in (
            "azureml:heart",
            "azureml:heart:1",
            "azureml:heart:1.0.3",
            "azureml:heart@latest",
            "azureml:heart@production",
            "azureml:heart_1.x-y:2024-01-01",
            ARM("models", "/versions/1"),
            "azureml://registries/shop/models/heart/versions/1",
            "azureml://registries/shop/models/heart/labels/latest",
        )
    ),
    [("model", "{path: model}")],
    [("model", "{path: ./model/, type: custom_model}")],
    [("model", "{path: model, type: MLFLOW_MODEL}")],
    [("model", "{path: model, type: triton_model}")],
    [("model", "{path: model, name: heart, version: 3}")],
    [("model", "{path: model/MLmodel, name: heart, version: 1.5}")],
    [("model", "{path: model, description: d, tags: {a: 1}, properties: {b: c}, stage: s, flavors: {f: {}}}")],
    [("model", "{path: model, id: x, creation_context: {}, latest_version: '2', $schema: s}")],
    [("code_configuration", "{code: ./code/, scoring_script: driver.py}")],
    [("code_configuration", "{code: code, scoring_script: sub/driver.py}")],
    [("code_configuration", "{code: code, scoring_script: driver.py, $schema: s}")],
    *(
        [("environment", text)]
        for text in (
            "azureml:own",
            "azureml:own:1",
            "azureml:own@latest",
            "azureml://registries/azureml/environments/sklearn-1.5/labels/latest",
            ARM("environments", "/versions/1"),
            "{image: 'python:3.11'}",
            "{image: 'python:3.11', conda_file: ./conda.yaml}",
            "{image: 'python:3.11', conda_file: {dependencies: [python=3.11]}}",
            "{name: own, version: 3, image: 'python:3.11', os_type: Linux}",
            "{name: own, image: i, description: d, tags: {a: 1}, datastore: d}",
            "{name: own, image: i, creation_context: {}, latest_version: '1', $schema: s}",
            "{build: {path: context}}",
            "{name: own, build: {path: context, dockerfile_path: Dockerfile}}",
            "{name: own, build: {path: 'https://github.com/someone/something.git#main'}}",
        )
    ),
    [("resources", "{}")],
    [("resources", "{instance_count: '3'}")],
    [("resources", "{instance_type: Standard_DS3, shm_size: 2g, docker_args: -it, max_instance_count: 4}")],
    [("resources", "{docker_args: [a, b], locations: [west], properties: {a: {b: 1}}}")],
]
MODEL: list[Row] = [
    [("type", "Model")],
    [("type", "MODEL")],
    [("settings", REMOVED)],
    [("settings", REMOVED), ("error_threshold", "5")],
    [("settings", REMOVED), ("environment_variables", "{A: b}")],
    [("settings", "{mini_batch_size: 7}")],
    [("settings.instance_count", "3"), ("resources", REMOVED)],
]
LEGACY: list[Row] = [
    [("settings.mini_batch_size", REMOVED)],
    [("provisioning_state", "Succeeded"), ("creation_context", "{created_by: me}")],
]
# The SDK leaves out what the YAML leaves out; the service fills it in.
DEFAULTS: dict[str, Any] = {
    "description": None,
    "tags": {},
    "properties": {},
    "instance_count": 1,
    "mini_batch_size": 10,
    "max_concurrency_per_instance": 1,
    "max_retries": 3,
    "timeout": 30,
    "output_action": "append_row",
    "output_file_name": "predictions.csv",
    "error_threshold": -1,
    "logging_level": "info",
    "environment_variables": {},
}


def sdk_facts(read: Any, settings: Any, folder: Path) -> dict[str, Any]:
    """What the SDK's object sends to the service, with the service's defaults."""
    code, retry, level = read.code_configuration, settings.retry_settings, settings.logging_level
    keys = ("description", "tags", "properties", "instance_count")
    facts = {
        **{name: getattr(read if name in keys else settings, name, None) for name in DEFAULTS},
        "max_retries": retry.max_retries if retry else None,
        "timeout": retry.timeout if retry else None,
        "logging_level": level.lower() if level else None,
        "environment_variables": {name: str(value) for name, value in (settings.environment_variables or {}).items()},
    }
    return {
        **{name: DEFAULTS[name] if value is None else value for name, value in facts.items()},
        "name": read.name,
        "endpoint_name": read.endpoint_name,
        "compute": read.compute,
        "model": read.model if isinstance(read.model, str) else sdk_model(read.model, folder),
        "code": (folder / code.code).resolve() if code else None,
        "scoring_script": code.scoring_script if code else None,
        "environment": sdk_environment(read.environment),
    }


def sdk_model(model: Any, folder: Path) -> dict[str, Any]:
    return {"path": (folder / model.path).resolve(), "type": model.type, "stage": model.stage}


def sdk_environment(environment: Any) -> Any:
    if environment is None or isinstance(environment, str):
        return environment
    build = environment.build
    return {
        "image": environment.image,
        "conda_file": environment.conda_file,
        "build": (build.path, build.dockerfile_path) if build else None,
        "os_type": environment.os_type,
    }


def our_facts(read: Deployment, folder: Path) -> dict[str, Any]:
    """The same facts of our object."""
    code, settings = read.code_configuration, read.settings
    return {
        **settings.model_dump(include=set(DEFAULTS)),
        **read.model_dump(include={"name", "endpoint_name", "description", "tags", "properties"}),
        "max_retries": settings.retry_settings.max_retries,
        "timeout": settings.retry_settings.timeout,
        "instance_count": read.instance_count,
        "compute": bare(read.compute),
        "model": bare(read.model) if isinstance(read.model, str) else our_model(read.model, folder),
        "code": (folder / code.code).resolve() if code else None,
        "scoring_script": code.scoring_script if code else None,
        "environment": our_environment(read.environment, folder),
    }


def bare(reference: str) -> str:
    """The SDK cuts the prefix of names and ARM ids, and leaves URIs as they are."""
    return reference if reference.startswith("azureml://") else reference.removeprefix("azureml:")


def our_model(model: InlineModel, folder: Path) -> dict[str, Any]:
    return {"path": (folder / model.path).resolve(), "type": model.type, "stage": model.stage}


def our_environment(environment: str | InlineEnvironment | None, folder: Path) -> Any:
    if environment is None or isinstance(environment, str):
        return environment and bare(environment)
    conda, build = environment.conda_file, environment.build
    return {
        "image": environment.image,
        "conda_file": yaml.safe_load((folder / conda).read_text()) if isinstance(conda, str) else conda,
        "build": (build.path, build.dockerfile_path) if build else None,
        "os_type": environment.os_type,
    }


ROWS = [
    *((layout, row) for row in BOTH for layout in ("model", "legacy")),
    *(("model", row) for row in MODEL),
    *(("legacy", row) for row in LEGACY),
]


@pytest.mark.parametrize(
    ("layout", "changes"),
    ROWS,
    ids=[f"{layout}-{' '.join(f'{key}={value}' for key, value in row)}" for layout, row in ROWS],
)
def test_what_both_take_both_understand_alike(layout: str, changes: Row, write: Write, ours: Ours, sdk: Sdk) -> None:
    path = write(layout, changes)
    read = sdk(layout, path)
    settings = read.settings if layout == "model" else read
    assert our_facts(ours(path), path.parent) == sdk_facts(read, settings, path.parent)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("deployment-*/*.yml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_the_deployments_of_this_project(path: Path, sdk: Sdk) -> None:
    read = sdk("model", path)
    assert our_facts(Deployment.load(path), path.parent) == sdk_facts(read, read.settings, path.parent)
