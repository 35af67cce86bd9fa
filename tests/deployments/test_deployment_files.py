"""Every deployment of this project as Azure's own SDK sees it, and its drivers as Azure would run them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT

SIMPLE = sorted((ROOT / "deployment-simple").glob("*.yml"))
CUSTOM = sorted((ROOT / "deployment-custom").glob("*.yml"))
CODE = ROOT / "deployment-custom/code"
DRIVERS = sorted(CODE.glob("batch_driver*.py"))

# In a process of its own: the SDK cannot be imported where warnings are errors.
LOAD = """
import json, sys
from azure.ai.ml.entities._load_functions import load_model_batch_deployment

def facts(path):
    deployment = load_model_batch_deployment(path)
    settings, code, environment = deployment.settings, deployment.code_configuration, deployment.environment
    return {
        "name": deployment.name,
        "endpoint_name": deployment.endpoint_name,
        "model": deployment.model,
        "compute": deployment.compute,
        "instance_count": deployment.resources.instance_count,
        "code": code and [code.code, code.scoring_script],
        "environment": environment and [environment.name, environment.image, environment.conda_file],
        "settings": {
            "max_concurrency_per_instance": settings.max_concurrency_per_instance,
            "mini_batch_size": settings.mini_batch_size,
            "output_action": settings.output_action,
            "output_file_name": settings.output_file_name,
            "retry_settings": {
                "max_retries": settings.retry_settings.max_retries,
                "timeout": settings.retry_settings.timeout,
            },
            "error_threshold": settings.error_threshold,
            "logging_level": settings.logging_level,
            "environment_variables": settings.environment_variables,
        },
    }

print(json.dumps([facts(path) for path in sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[Path, dict[str, Any]]:
    """Each deployment file -> what the SDK makes of it."""
    paths = [*SIMPLE, *CUSTOM]
    done = subprocess.run([sys.executable, "-c", LOAD, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(paths, json.loads(done.stdout), strict=True))


def test_all_are_here() -> None:
    assert [path.name for path in SIMPLE] == ["deployment.yml"]
    assert len(CUSTOM) == len(DRIVERS) == 5


@pytest.mark.parametrize("path", [*SIMPLE, *CUSTOM], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_sdk_takes_the_deployment_as_written(path: Path, loaded: dict[Path, dict[str, Any]]) -> None:
    deployment, written = loaded[path], yaml.safe_load(path.read_text())
    assert deployment["name"] == written["name"]
    assert deployment["endpoint_name"] == "heart-classifier-batch"
    assert written["model"] == f"azureml:{deployment['model']}" == "azureml:heart-classifier-mlflow@latest"
    assert written["compute"] == f"azureml:{deployment['compute']}" == "azureml:batch-cluster"
    assert deployment["instance_count"] == written["resources"]["instance_count"]
    settings = {"output_file_name": None, "environment_variables": None} | written["settings"]
    assert deployment["settings"] == settings


def test_each_driver_has_its_deployment(loaded: dict[Path, dict[str, Any]]) -> None:
    for path in CUSTOM:
        code, _ = loaded[path]["code"]
        assert (path.parent / code).resolve() == CODE
    assert {loaded[path]["code"][1] for path in CUSTOM} == {path.name for path in DRIVERS}
    assert len({facts["name"] for facts in loaded.values()}) == 6


def test_all_share_the_one_environment(loaded: dict[Path, dict[str, Any]]) -> None:
    conda = yaml.safe_load((ROOT / "environment/conda.yaml").read_text())
    image = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest"
    for path in CUSTOM:
        assert loaded[path]["environment"] == ["batch-mlflow-xgboost", image, conda]


def test_environment_holds_what_the_drivers_import() -> None:
    conda = yaml.safe_load((ROOT / "environment/conda.yaml").read_text())
    lines = [line for entry in conda["dependencies"] if isinstance(entry, dict) for line in entry["pip"]]
    pinned = {line.partition("==")[0] for line in lines}
    distributions = packages_distributions()
    for path in CODE.glob("*.py"):
        third_party = imported(path) - sys.stdlib_module_names - {"model_files"}
        assert "mlflow" in third_party
        for name in third_party:
            assert pinned & set(distributions[name]), f"{path.name} imports {name}, which conda.yaml does not pin"


def imported(path: Path) -> set[str]:
    """The top-level modules that a script imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names
