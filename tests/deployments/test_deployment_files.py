"""Every deployment of this project as Azure's own SDK sees it, and its drivers as Azure would run them."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from azure.ai.ml.entities import ModelBatchDeployment
from azure.ai.ml.entities._load_functions import load_model_batch_deployment

from support import ROOT

SIMPLE = sorted((ROOT / "deployment-simple").glob("*.yml"))
CUSTOM = sorted((ROOT / "deployment-custom").glob("*.yml"))
CODE = ROOT / "deployment-custom/code"
DRIVERS = sorted(CODE.glob("batch_driver*.py"))


def load(path: Path) -> ModelBatchDeployment:
    """Load a deployment with the SDK."""
    return load_model_batch_deployment(path)


def test_all_are_here() -> None:
    assert [path.name for path in SIMPLE] == ["deployment.yml"]
    assert len(CUSTOM) == len(DRIVERS) == 5


@pytest.mark.parametrize("path", [*SIMPLE, *CUSTOM], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_sdk_takes_the_deployment(path: Path) -> None:
    deployment = load(path)
    written = yaml.safe_load(path.read_text())
    assert deployment.name == written["name"]
    assert deployment.endpoint_name == "heart-classifier-batch"
    assert deployment.model == "heart-classifier-mlflow@latest"
    settings = deployment.settings
    assert settings.mini_batch_size == written["settings"]["mini_batch_size"]
    assert settings.output_file_name == written["settings"].get("output_file_name")
    assert settings.retry_settings.timeout == written["settings"]["retry_settings"]["timeout"]
    assert settings.environment_variables == written["settings"].get("environment_variables", {})


def test_each_driver_has_its_deployment() -> None:
    deployments = [load(path) for path in CUSTOM]
    scripts = {Path(deployment.code_configuration.scoring_script).name for deployment in deployments}
    assert scripts == {path.name for path in DRIVERS}
    assert len({deployment.name for deployment in [*deployments, load(SIMPLE[0])]}) == 6
    for deployment in deployments:
        assert (ROOT / "deployment-custom" / deployment.code_configuration.code).resolve() == CODE


def test_environment_holds_what_the_drivers_import() -> None:
    conda = yaml.safe_load((ROOT / "environment/conda.yaml").read_text())
    pins = {
        re.split("==", line)[0] for entry in conda["dependencies"] if isinstance(entry, dict) for line in entry["pip"]
    }
    for path in CUSTOM:
        assert load(path).environment.conda_file == conda
    for path in CODE.glob("*.py"):
        third_party = imported(path) - sys.stdlib_module_names - {"model_files"}
        assert third_party
        for name in third_party:
            assert set(packages_distributions()[name]) & pins, f"{path.name} imports {name}, which is not in conda.yaml"


def imported(path: Path) -> set[str]:
    """The top-level modules that a script imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names
