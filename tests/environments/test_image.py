"""`batchtwin image` on this machine: what is handed to the engine, and that nothing else happens here.

The engine's client is a stand-in that keeps what it is given. tests/container builds real images.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtwin.environments.image import Recipe
from batchtwin.environments.requested import RequestedEnvironment
from package_server import Shop, sdist, serving
from support import ROOT, Finished, Project, batchtwin

CLIENT = """\
#!/usr/bin/env bash
# "docker build": keep the command and the build context, which is its last word.
[[ $1 == build ]] || exit 1
printf '%s\\n' "$@" >"$KEEP/words.txt"
cp -r "${@: -1}" "$KEEP/context"
"""
MAIN = "import batchtwin.cli as cli; print(cli.__file__); cli.main()"
Image = Callable[..., Finished]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in; it keeps things in `tmp_path`."""
    monkeypatch.setenv("KEEP", str(tmp_path))
    path = tmp_path / "client"
    path.write_text(CLIENT)
    path.chmod(0o755)
    return path


def asks_for(project: Project, *lines: str, conda: tuple[str, ...] = (), python: str = "python=3.8.5") -> Path:
    """A deployment whose conda file lists these lines of pip."""
    project.script = "def run(mini_batch): return mini_batch"
    path = project.write()
    data = yaml.safe_load(path.read_text())
    dependencies: list[Any] = [python, *conda, "pip", {"pip": list(lines)}]
    data["environment"] = {"image": "base:1", "conda_file": {"dependencies": dependencies}}
    path.write_text(yaml.safe_dump(data))
    return path


def context(folder: Path) -> dict[str, str]:
    """What the engine was given, by file name, but for the program uv."""
    paths = [path for path in (folder / "context").rglob("*") if path.is_file() and path.name != "uv"]
    return {str(path.relative_to(folder / "context")): path.read_text() for path in paths}


def test_the_engine_is_given_the_environment_and_no_batchtwin(project: Project, client: Path, tmp_path: Path) -> None:
    path = asks_for(project, "mlflow==1.30.1", "pandas", conda=("libgomp", "numpy=1.21"))
    done = batchtwin("image", path, "--engine", client)
    assert done.code == 0, done.err
    assert "BASE_IMAGE=base:1" in (tmp_path / "words.txt").read_text().splitlines()
    files = context(tmp_path)
    assert files.keys() == {
        *("Dockerfile", "make-environment.sh", "skops_startup.py", "no-build"),
        *("python.txt", "conda.yaml", "conda.txt", "from-conda.txt", "requirements.txt", "overrides.txt"),
    }
    assert files["python.txt"] == "3.8\n"
    assert yaml.safe_load(files["conda.yaml"])["dependencies"] == ["python=3.8.5", "libgomp", "numpy=1.21", "pip"]
    assert (files["conda.txt"], files["from-conda.txt"]) == ("libgomp\n", "numpy==1.21.*\n")
    assert files["requirements.txt"].splitlines() == ["mlflow==1.30.1", "pandas", "pip", "setuptools<81"]
    assert "ENTRYPOINT []" in files["Dockerfile"]


def test_source_packages_are_built_only_on_request(project: Project, client: Path, tmp_path: Path) -> None:
    path = asks_for(project, "mlflow")
    tag = batchtwin("image", path, "--engine", client, "--allow-builds").out
    assert "no-build" not in context(tmp_path)
    assert batchtwin("image", path, "--engine", client).out != tag


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        ("python=3.8.5", "3.8"),
        ("python==3.11", "3.11"),
        ("python 3.10.*", "3.10"),
        ("conda-forge::python=3.9=h1_0", "3.9"),
        ("python>=3.9,<3.12", ">=3.9,<3.12"),
        ("python", "3"),
    ],
)
def test_the_minor_version_of_python_counts(python: str, expected: str) -> None:
    assert Recipe("base:1", RequestedEnvironment("conda.yaml", python)).files()["python.txt"] == f"{expected}\n"


def test_a_line_of_the_deployment_that_names_setuptools_stands() -> None:
    requested = RequestedEnvironment("conda.yaml", pip=("setuptools==75.0", "pip<25"))
    lines = Recipe("base:1", requested).files()["requirements.txt"]
    assert lines.splitlines() == ["setuptools==75.0", "pip<25"]


# --- hostile requirements


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(sdist(tmp_path / "touched")) as server, serving(server):
        yield server


@pytest.mark.parametrize("options", [(), ("--allow-builds",)])
def test_no_code_of_a_requirement_runs_on_this_machine(
    project: Project, client: Path, shop: Shop, tmp_path: Path, options: tuple[str, ...]
) -> None:
    line = f"evil @ http://127.0.0.1:{shop.server_port}/evil-1.0.tar.gz"
    done = batchtwin("image", asks_for(project, line, python="python=3.11"), "--engine", client, *options)
    assert not (tmp_path / "touched").exists()
    assert shop.paths == []
    assert done.code == 0, done.err
    assert context(tmp_path)["requirements.txt"].startswith(f"{line}\n")


@pytest.mark.parametrize("variable", ["${HOME}", "${SECRET}"])
def test_variables_are_not_put_into_urls(
    project: Project, client: Path, shop: Shop, tmp_path: Path, variable: str
) -> None:
    line = f"evil @ http://127.0.0.1:{shop.server_port}/{variable}/evil-1.0.tar.gz"
    done = batchtwin("image", asks_for(project, line, python="python=3.11"), "--engine", client)
    assert shop.paths == []
    assert done.code == 2
    assert f"{variable} is not expanded; write its value" in done.err
    assert not (tmp_path / "context").exists()


def test_options_of_pip_that_name_an_index_go_along(project: Project, client: Path, tmp_path: Path) -> None:
    option = "--extra-index-url https://packages.example/simple"
    assert batchtwin("image", asks_for(project, option, "mlflow"), "--engine", client).code == 0
    assert option in context(tmp_path)["requirements.txt"].splitlines()


@pytest.mark.parametrize(
    "line",
    [
        *("./evil", "../evil-1.0.tar.gz", "evil-1.0.tar.gz", "/evil", "evil @ file:///evil"),
        *("-e .", "-r more.txt", "--find-links ./wheels", "-f file:///wheels"),
    ],
)
def test_packages_of_this_machine_are_refused(project: Project, client: Path, line: str) -> None:
    done = batchtwin("image", asks_for(project, line), "--engine", client)
    assert done.code == 2
    assert f"{line}: files of this machine cannot be put into an image; publish them" in done.err


# --- without a checkout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_an_installed_wheel_needs_no_checkout(project: Project, client: Path, installed: Path, tmp_path: Path) -> None:
    path = asks_for(project, "mlflow")
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "image", path, "--engine", client],
        cwd=tmp_path / "empty",
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    module, tag = done.stdout.splitlines()
    assert module.startswith(str(installed))
    assert tag.startswith("batchtwin:")
    assert {"Dockerfile", "make-environment.sh"} <= context(tmp_path).keys()
