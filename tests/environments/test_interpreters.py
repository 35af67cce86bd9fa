"""Interpreters of this machine: found where they are, asked what they have, looked up by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from batchtwin.environments import named
from batchtwin.environments.cache import cache_folder
from batchtwin.environments.differences import may_be_silently_wrong, saved_version_mismatches
from batchtwin.environments.installed import Installed, InterpreterError, from_lock, installed_here, installed_in
from batchtwin.environments.interpreters import find_python, runs
from batchtwin.environments.named import NamedEnvironment, look_up
from batchtwin.environments.requested import HERE, RequestedEnvironment, RequestedEnvironmentError
from package_server import wheel

pytestmark = pytest.mark.usefixtures("cache")


def interpreter(path: Path, says: str) -> Path:
    """A program that says it is a Python of this version, and notes each time that it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho >>'{path}.asked'\n[ -n '{says}' ] && echo {says} || exit 127\n")
    path.chmod(0o755)
    return path


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = interpreter(tmp_path / "shims/python3.9", "")
    old = interpreter(tmp_path / "pyenv/versions/3.9.2/bin/python", "3.9")
    new = interpreter(tmp_path / "pyenv/versions/3.9.10/bin/python", "3.9")
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert not runs(shim, "3.9")
    assert find_python("3.9") == new
    new.unlink()
    assert find_python("3.9") == old, "what was found last time is gone"


def test_the_answer_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    first = interpreter(tmp_path / "pyenv/versions/3.9.2/bin/python", "3.9")
    assert find_python("3.9") == first
    interpreter(tmp_path / "pyenv/versions/3.9.3/bin/python", "3.9")
    assert find_python("3.9") == first
    assert (cache_folder() / "pythons.json").is_file()


def test_environments_of_conda_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    path = interpreter(tmp_path / "conda/envs/old/bin/python3.9", "3.9")
    assert find_python("3.9") == path


def test_an_interpreter_is_asked_again_when_something_was_installed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    assert installed_in(python).version("tiny") is None
    [answer] = (cache_folder() / "installed").iterdir()
    kept = answer.stat().st_mtime_ns
    assert installed_in(python) == installed_in(python)
    assert answer.stat().st_mtime_ns == kept
    [site] = (tmp_path / "venv/lib").glob("python*/site-packages")
    package = wheel(tmp_path, "tiny")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", package, site], check=True)
    assert installed_in(python).version("Tiny") == "1.0"
    assert installed_in(python).python_minor == HERE


def test_this_interpreter_and_a_lock() -> None:
    installed = installed_here()
    assert installed.version("PyYAML") == installed.version("pyyaml") is not None
    assert "pyyaml" in set(installed.versions)
    assert from_lock("3.8", "A.b==1\nc @ file:///c\n# d==1\n").versions == {"a-b": "1"}


def test_what_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match="does not answer as a Python"):
        installed_in(interpreter(tmp_path / "bin/python", "hello"))
    with pytest.raises(InterpreterError, match="No such file"):
        installed_in(tmp_path / "none/bin/python")


def test_what_saved_the_model_is_told_where_no_difference_says_it() -> None:
    requested = RequestedEnvironment("f", saved_with=("scikit-learn==1.3.2", "none==1"), saved_python="3.8.5")
    installed = Installed("3.9.1", {"scikit-learn": "1.5.0"})
    assert saved_version_mismatches(requested, installed) == [
        "the model was saved by Python 3.8, it runs under Python 3.9",
        "the model was saved by scikit-learn 1.3.2, it runs with scikit-learn 1.5.0",
    ]
    known = ["python 3.9.1 is installed, ==3.8.* is requested (f)", "scikit-learn 1.5.0 is installed, ==1 is requested"]
    assert saved_version_mismatches(requested, installed, known) == []
    known = ["Scikit_Learn 1.5.0 is installed, ==1 is requested"]
    assert len(saved_version_mismatches(requested, installed, known)) == 1, "of Python"
    assert may_be_silently_wrong(requested, installed) == "3.8"
    assert may_be_silently_wrong(RequestedEnvironment("f", "python=3.9", saved_python="3.8"), installed) is None
    assert may_be_silently_wrong(None) is None


# --- environments by name


def python_of(found: NamedEnvironment | None) -> str | None:
    assert found is not None
    assert found.requested is not None
    return found.requested.python


@pytest.mark.parametrize(
    "reference",
    [
        "azureml:sklearn-1.5:3",
        "azureml:sklearn-1.5@latest",
        "azureml://registries/azureml/environments/sklearn-1.5/versions/7",
        "azureml://registries/azureml/environments/sklearn-1.5/labels/latest",
    ],
)
def test_curated_names(reference: str, tmp_path: Path) -> None:
    assert python_of(look_up(reference, tmp_path)) == "python=3.10"


def test_the_workspace_comes_first_then_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def registered(reference: str) -> NamedEnvironment | None:
        return NamedEnvironment(image="mine") if reference == "azureml:mine:1" else None

    config, folder = tmp_path / "config", tmp_path / "folder"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    (config / "batchtwin").mkdir(parents=True)
    folder.mkdir()
    (config / "batchtwin/environments.yml").write_text("azureml:mine: {image: users}\nazureml:other: {image: users}")
    (folder / "environments.yml").write_text("azureml:mine:2: {image: beside}\nazureml:mine: {image: any}")
    expected = {"mine:1": "mine", "mine:2": "beside", "mine:3": "any", "other:1": "users"}
    for name, image in expected.items():
        environment = look_up(f"azureml:{name}", folder, registered)
        assert environment is not None
        assert environment.image == image
    assert look_up("azureml:none:1", folder, registered) is None
    assert "map it in environments.yml" in named.advice("azureml:none:1")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[", "cannot be read"),
        ("[]", "not a mapping"),
        ("azureml:x: {a: 1}", "give conda_file"),
        ("azureml:x: n.yml", "no such"),
    ],
)
def test_a_mapping_that_is_none(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "environments.yml").write_text(text)
    with pytest.raises(RequestedEnvironmentError, match=match):
        look_up("azureml:x:1", tmp_path)
