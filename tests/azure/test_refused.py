"""What the real azure-ai-ml refuses, batchtwin refuses: one change each to a YAML that both take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchtwin.deployment.schema import Deployment
from batchtwin.errors import DeploymentError

Sdk = Callable[[str, Path], Any]
Refused = Callable[[str, str, str | None], Path]
Change = tuple[str, str | None]

LAYOUTS = ("model", "legacy")
REMOVED = None
ARM = (
    "azureml:/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/{}/asset{}"
).format
# In both layouts; keys of `settings` are those of the root in the legacy one.
BOTH: list[Change] = [
    ("name", REMOVED),
    ("name", "null"),
    ("name", "7"),
    ("name", "true"),
    ("name", "[a-name]"),
    ("endpoint_name", REMOVED),
    ("endpoint_name", "null"),
    ("endpoint_name", "1.5"),
    ("description", "null"),
    ("description", "3"),
    ("description", "2024-01-01"),
    ("id", "null"),
    ("tags", "null"),
    ("tags", "[a]"),
    ("properties", "x"),
    ("$schema", "null"),
    ("compute", "null"),
    ("compute", "7"),
    ("compute", "[c]"),
    ("colour", "red"),
    ("instance_count", "2"),
    ("scoring_script", "driver.py"),
    ("job_definition", "azureml:job"),
    ("component", "azureml:component:1"),
    ("app_insights_enabled", "true"),
    ("model", "null"),
    ("model", "''"),
    ("model", "7"),
    ("model", "[a]"),
    ("model", "heart:1"),
    ("model", "./model"),
    ("model", "file:./model"),
    ("model", "Azureml:heart:1"),
    ("model", "runs:/1/model"),
    ("model", "azureml:a/b:1"),
    ("model", "azureml:heart:1/2"),
    ("model", "azureml:heart@a/b"),
    ("model", ARM("models", "")),
    ("model", ARM("models", "/labels/latest")),
    ("model", ARM("models", "/versions/1").replace("resourceGroups", "resourcegroups")),
    ("model", ARM("models", "/versions/1").removeprefix("azureml:")),
    ("model.path", "nowhere"),
    ("model.path", "7"),
    ("model.path", "null"),
    ("model.path", "https://example.com/model"),
    ("model.path", "azureml://datastores/x/paths/model"),
    ("model.type", "uri_folder"),
    ("model.type", "null"),
    ("model.name", "null"),
    ("model.name", "7"),
    ("model.version", "1"),
    ("model.version", "null"),
    ("model.version", "[1]"),
    ("model.description", "null"),
    ("model.tags", "[a]"),
    ("model.stage", "2"),
    ("model.flavors", "x"),
    ("model.datastore", "[a]"),
    ("model.colour", "red"),
    ("model.id", "null"),
    ("code_configuration", "null"),
    ("code_configuration", "code"),
    ("code_configuration", "[code]"),
    ("code_configuration.code", "null"),
    ("code_configuration.code", "3"),
    ("code_configuration.scoring_script", "null"),
    ("code_configuration.scoring_script", "3"),
    ("code_configuration.path", "code"),
    ("environment", "null"),
    ("environment", "''"),
    ("environment", "7"),
    ("environment", "[a]"),
    ("environment", "own:1"),
    ("environment", "file:environment.yml"),
    ("environment", ARM("environments", "")),
    ("environment.image", "null"),
    ("environment.image", "3"),
    ("environment.conda_file", "null"),
    ("environment.conda_file", "3"),
    ("environment.conda_file", "[a]"),
    ("environment.conda_file", "nowhere.yaml"),
    ("environment.conda_file", "code"),
    ("environment.conda_file", "torn.yaml"),
    ("environment.conda_file", "latin1.yaml"),
    ("environment.conda_file", "https://example.com/conda.yaml"),
    ("environment.build", "null"),
    ("environment.build", "context"),
    ("environment.build", "{path: nowhere}"),
    ("environment.build", "{path: 3}"),
    ("environment.build", "{path: null}"),
    ("environment.build", "{path: context, dockerfile_path: null}"),
    ("environment.build", "{path: context, colour: red}"),
    ("environment.build", "{path: 'git://host'}"),
    ("environment.os_type", "mac"),
    ("environment.os_type", "null"),
    ("environment.version", "[1]"),
    ("environment.description", "3"),
    ("environment.tags", "x"),
    ("environment.tags", "{1: a}"),
    ("environment.properties", "{a: b}"),
    ("environment.datastore", "3"),
    ("environment.colour", "red"),
    ("environment.channels", "[conda-forge]"),
    ("environment.dependencies", "[python]"),
    ("resources", "null"),
    ("resources", "x"),
    ("resources", "[]"),
    ("resources.instance_count", "null"),
    ("resources.instance_count", "two"),
    ("resources.instance_count", "true"),
    ("resources.instance_type", "3"),
    ("resources.max_instance_count", "x"),
    ("resources.shm_size", "3"),
    ("resources.docker_args", "3"),
    ("resources.docker_args", "[3]"),
    ("resources.locations", "west"),
    ("resources.locations", "[3]"),
    ("resources.properties", "{1: a}"),
    ("resources.colour", "red"),
    ("settings.mini_batch_size", "two"),
    ("settings.mini_batch_size", "'2.0'"),
    ("settings.mini_batch_size", "1e3"),
    ("settings.mini_batch_size", "'0x10'"),
    ("settings.mini_batch_size", "'²'"),
    ("settings.mini_batch_size", "''"),
    ("settings.mini_batch_size", "true"),
    ("settings.mini_batch_size", "null"),
    ("settings.mini_batch_size", "[2]"),
    ("settings.mini_batch_size", ".nan"),
    ("settings.mini_batch_size", ".inf"),
    ("settings.max_concurrency_per_instance", "many"),
    ("settings.instance_count", "2"),
    ("settings.instance_count", "null"),
    ("settings.error_threshold", "none"),
    ("settings.error_threshold", "null"),
    ("settings.error_threshold", "10%"),
    ("settings.logging_level", "null"),
    ("settings.logging_level", "20"),
    ("settings.output_action", "append"),
    ("settings.output_action", "null"),
    ("settings.output_file_name", "null"),
    ("settings.output_file_name", "7"),
    ("settings.retry_settings", "null"),
    ("settings.retry_settings", "3"),
    ("settings.retry_settings", "[3]"),
    ("settings.retry_settings.retries", "3"),
    ("settings.retry_settings.max_retries", "null"),
    ("settings.retry_settings.max_retries", "x"),
    ("settings.retry_settings.timeout", "10m"),
    ("settings.retry_settings.timeout", "PT10M"),
    ("settings.environment_variables", "null"),
    ("settings.environment_variables", "[A]"),
    ("settings.environment_variables", "A=b"),
]
MODEL: list[Change] = [
    ("compute", REMOVED),
    ("type", "null"),
    ("type", "component"),
    ("type", "[model]"),
    ("settings", "null"),
    ("settings", "[]"),
    ("settings", "x"),
    ("settings", "{}"),
    ("settings.mini_batch_size", REMOVED),
    ("settings.colour", "red"),
    ("settings.timeout", "30"),
    ("mini_batch_size", "2"),
    ("max_concurrency_per_instance", "2"),
    ("retry_settings", "{timeout: 30}"),
    ("output_action", "append_row"),
    ("output_file_name", "predictions.csv"),
    ("logging_level", "info"),
    ("provisioning_state", "Succeeded"),
    ("creation_context", "{created_by: me}"),
]
LEGACY: list[Change] = [
    ("type", "null"),
    ("type", "component"),
    ("settings", "{mini_batch_size: 2}"),
    ("provisioning_state", "null"),
    ("timeout", "30"),
]


ROWS = [
    *((layout, *row) for row in BOTH for layout in LAYOUTS),
    *(("model", *row) for row in MODEL),
    *(("legacy", *row) for row in LEGACY),
]


@pytest.mark.parametrize(("layout", "key", "value"), ROWS)
def test_what_the_sdk_refuses_we_refuse(layout: str, key: str, value: str | None, refused: Refused, sdk: Sdk) -> None:
    path = refused(layout, key, value)
    with pytest.raises(Exception):  # noqa: B017  (marshmallow's, azure's own, and TypeErrors of its own making)
        sdk(layout, path)


FILES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n\n",
    "comment only": b"# nothing\n",
    "null": b"null\n",
    "list": b"- name: x\n",
    "text": b"deployment\n",
    "number": b"7\n",
    "binary": bytes(range(256)),
    "latin-1": b"name: caf\xe9\n",
    "NUL": b"name: a\0b\n",
    "tab": b"name: x\n\tmodel: y\n",
    "unclosed": b"tags: {a\n",
    "two documents": b"name: a\n---\nname: b\n",
    "unknown alias": b"name: *nobody\n",
    "unknown tag": b"name: !secret x\n",
    "code": b"name: !!python/object/apply:os.getcwd []\n",
    "no such date": b"name: 2024-99-99\n",
    "list as key": b"[a]: 1\n",
    "very deep": b"tags: " + b"[" * 3000 + b"]" * 3000,
    "very long number": b"tags: {a: " + b"9" * 5000 + b"}\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_files_that_neither_reads(layout: str, content: bytes, tmp_path: Path, sdk: Sdk) -> None:
    path = tmp_path / "deployment.yml"
    path.write_bytes(content)
    with pytest.raises(Exception):  # noqa: B017  (as above)
        sdk(layout, path)
    with pytest.raises(DeploymentError, match=r"deployment\.yml"):
        Deployment.load(path)
