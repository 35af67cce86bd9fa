"""Fixtures of the tests that run under other Pythons."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from old_environments import BUILD, ENVIRONMENTS, Environment, make

from batchtwin.locks import hold
from support import ROOT

PACKAGES = ("batchtwin_node", "azureml_user")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: `make test-pythons` runs them, those of an environment in one process."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.pythons)
            callspec = getattr(item, "callspec", None)
            environment: Environment | None = callspec.params.get("environment") if callspec else None
            item.add_marker(pytest.mark.xdist_group(environment.name if environment else "none"))


@pytest.fixture(scope="session", params=ENVIRONMENTS, ids=lambda environment: environment.name)
def environment(request: pytest.FixtureRequest) -> Environment:
    """An environment, made once; without its Python the test is not run."""
    environment: Environment = request.param
    if not make(environment):
        pytest.skip(f"no Python {environment.python} on this machine")
    return environment


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the node's packages and nothing else."""
    folder = tmp_path_factory.mktemp("packages")
    for name in PACKAGES:
        shutil.copytree(ROOT / "src" / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def models(environment: Environment) -> Path:
    """The models of an environment, made once by it."""
    if not environment.is_generation:
        pytest.skip("no models are made in this environment")
    return made_models(environment)


def made_models(environment: Environment) -> Path:
    """Make the models of an environment unless they are there, and return their folder."""
    script = Path(__file__).parent / "make_models.py"
    digest = hashlib.sha256(script.read_bytes()).hexdigest()[:12]
    folder = BUILD / f"models-{environment.folder.name}-{digest}"
    with hold(BUILD / f".{folder.name}.lock"):  # another test process may be at it
        if not folder.exists():
            command = [str(environment.interpreter), "-I", str(script), str(folder)]
            subprocess.run(command, check=True, capture_output=True, cwd=BUILD)
    return folder
