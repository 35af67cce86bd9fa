"""The wheel and the sdist: installed outside of the checkout, in an empty folder, they do all but deploy the sample."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from support import DEADLINE, ROOT, Project

# A container engine's client that keeps the build context, its last word.
CLIENT = """\
#!/usr/bin/env bash
[[ $1 == build ]] || exit 1
cp -r "${@: -1}" context
"""


def uv(*words: str | Path) -> None:
    command = [sys.executable, "-m", "uv", *map(str, words), "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    return folder


@pytest.fixture(scope="module")
def command(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`batchtwin` of a venv that has the wheel; what it needs comes from the venv of the tests."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    uv("venv", "--python", sys.executable, venv)
    [wheel] = built.glob("*.whl")
    uv("pip", "install", "--no-deps", "--offline", "--python", venv / "bin/python", wheel)
    [packages] = venv.glob("lib/python*/site-packages")
    # A folder that a line of a .pth adds has no .pth of its own: the checkout is not seen.
    (packages / "tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return venv / "bin/batchtwin"


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}


def run(command: Path, folder: Path, *words: str | Path) -> str:
    line = [str(command), *map(str, words)]
    options = {"capture_output": True, "text": True, "timeout": DEADLINE, "check": False}
    done = subprocess.run(line, cwd=folder, env=clean(), **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_what_is_in_it(built: Path) -> None:
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        texts = {name.rpartition("/")[2]: archive.read(name).decode() for name in names if ".dist-info/" in name}
    tree = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == {name for name in tree if "__pycache__" not in name}
    assert "[pytest11]\nbatchtwin = batchtwin.pytest_plugin" in texts["entry_points.txt"]
    with tarfile.open(sdist) as tar:
        assert any(name.endswith("/src/batchtwin/api/__init__.py") for name in tar.getnames())


def test_an_empty_folder_is_enough(command: Path, project: Project, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    where = "import batchtwin, pathlib; print(pathlib.Path(batchtwin.__file__).parents[1])"
    assert ROOT not in Path(run(command.with_name("python"), empty, "-c", where).strip()).parents
    project.files(2)
    project.script = "def run(mini_batch): return ['row'] * len(mini_batch)"
    deployment = project.write()
    assert "mini_batches" in json.loads(run(command, empty, "plan", deployment, "--input", project.inputs, "--json"))
    result = json.loads(run(command, empty, "score", deployment, "--input", project.inputs, "--json"))
    assert (result["status"], result["rows"]) == ("Completed", 2)
    assert "Verified" in run(command, empty, "verify", result["folder"])
    assert "environments" in run(command, empty, "environments", "list")
    assert json.loads(run(command, empty, "schema"))["title"] == "Batch deployment"


def test_image_renders_its_dockerfile(command: Path, project: Project, tmp_path: Path) -> None:
    project.script = "def run(mini_batch): return mini_batch"
    deployment = project.write()
    text = deployment.read_text().replace("image: python:3.11", "image: python:3.11\n  conda_file: conda.yaml")
    deployment.write_text(text)
    (project.folder / "conda.yaml").write_text("dependencies: [python=3.11, pip, {pip: [tiny==1.0]}]")
    client = tmp_path / "client"
    client.write_text(CLIENT)
    client.chmod(0o755)
    assert run(command, tmp_path, "image", deployment, "--engine", client).startswith("batchtwin:")
    assert "FROM" in (tmp_path / "context/Dockerfile").read_text()


def test_ml_and_serve(command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTWIN_WORKSPACE", str(tmp_path / "workspace"))
    assert json.loads(run(command, tmp_path, "ml", "model", "list")) == []
    line = [str(command), "serve", "--port", "0"]
    server = subprocess.Popen(
        line, cwd=tmp_path, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout is not None
    assert "http" in server.stdout.readline()
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=DEADLINE)


def test_few_packages_are_needed_and_none_is_the_deployments() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {Requirement(line).name for line in project["dependencies"]}
    assert needed.isdisjoint({"mlflow", "pandas", "numpy", "pyarrow", "scikit-learn"})
    lowest = {Requirement(line).name: str(Requirement(line).specifier) for line in project["dependencies"]}
    assert (lowest["packaging"], lowest["typer"], lowest["fsspec"]) == (">=23", ">=0.9", ">=2023.1")
    assert all("<" not in limit and "==" not in limit for limit in lowest.values())
