"""What cannot be used is refused in words, before anything runs: conda files, `--env` and `--python`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from batchtwin.environments.pip_lines import RequirementsFileError, expand
from batchtwin.environments.requested import RequestedEnvironmentError, parse_conda, read_conda
from batchtwin.environments.uv import UvError, explain_uv_error
from support import Finished, Project, batchtwin

pytestmark = pytest.mark.usefixtures("cache")
RANGE = "deployments run under Python 3.8 to 3.14; try another one: --python 3.8"


@pytest.mark.parametrize(
    ("dependencies", "text"),
    [
        ([3], "dependencies: '3' is no text"),
        ([None], "dependencies: 'None' is no text"),
        ([True, "python"], "dependencies: 'True' is no text"),
        ([["numpy"]], "dependencies: \"['numpy']\" is no text"),
        ([{"pip": [1.5]}], "dependencies: pip: '1.5' is no text"),
        ([{"pip": [["a"], "b"]}], "dependencies: pip: "),
        ([{"pip": [{"pip": ["a"]}]}], "dependencies: pip: "),
        ([{"pip": "numpy"}], "dependencies: pip: 'numpy' is no list"),
        ([{"sel(linux)": ["numpy"]}], "dependencies: 'sel(linux)': only pip has a list of its own"),
        (["python=3.8", "conda-forge::python=3.9"], "python=3.8, conda-forge::python=3.9: keep one of them"),
        ({"pip": ["a"]}, "dependencies: missing or no list"),
        (None, "dependencies: missing or no list"),
    ],
)
def test_a_conda_file_of_another_shape(dependencies: object, text: str) -> None:
    """Nothing is left out in silence."""
    with pytest.raises(RequestedEnvironmentError) as caught:
        parse_conda({"dependencies": dependencies}, "conda.yaml", Path())
    assert str(caught.value).startswith("conda.yaml: ")
    assert text in str(caught.value)


def test_a_conda_file_that_is_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / "conda.yaml"
    path.write_text("dependencies: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(RequestedEnvironmentError, match="lists in lists without end"):
        read_conda(path)


def test_one_channel_may_be_a_text() -> None:
    assert parse_conda({"channels": "defaults", "dependencies": []}, "c", Path()).channels == ("defaults",)


@pytest.mark.parametrize("option", ["-r", "-c", "-e", "--find-links"])
def test_an_option_without_a_value(tmp_path: Path, option: str) -> None:
    with pytest.raises(RequirementsFileError, match=f"'{option}': has no value"):
        list(expand([option], tmp_path))


@pytest.mark.parametrize("line", ["-r {}", "-c {}"])
def test_a_pipe_is_no_requirements_file(tmp_path: Path, line: str) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RequirementsFileError, match="pipe: is no file"):
        list(expand([line.format("pipe")], tmp_path))


def plan(project: Project, *words: str, dependencies: object = ()) -> Finished:
    project.files(1)
    project.script = "def run(mini_batch): return mini_batch"
    path = project.write()
    (project.folder / "conda.json").write_text(json.dumps({"dependencies": list(dependencies)}))  # type: ignore[call-overload]
    path.write_text(path.read_text().replace("environment:", "environment:\n  conda_file: conda.json"))
    return batchtwin("plan", path, "--input", project.inputs, *words)


@pytest.mark.parametrize("python", ["3.7", "2.7", "3.99", ">=3.15", "<3.8", "=abc", "==3.7.*"])
def test_a_python_that_deployments_cannot_have(project: Project, python: str) -> None:
    text = f"python={python}" if python[0].isdigit() else f"python{python}"
    done = plan(project, "--env", "auto", dependencies=[text])
    assert (done.code, done.err) == (2, f"{project.folder}/conda.json: '{text}': {RANGE}\n")
    assert plan(project, "--env", "auto", "--python", "3.8", dependencies=[text]).code == 0


@pytest.mark.parametrize("python", ["3", "3.7", "x", "3.8; rm", "/usr/bin/python3"])
def test_a_word_that_is_no_python(project: Project, python: str) -> None:
    done = plan(project, "--env", "auto", "--python", python)
    assert (done.code, done.err) == (2, f"--python {python}: {RANGE}\n")


@pytest.mark.parametrize("python", ["python", "python=3", "python>=3.9", "python!=3.8"])
def test_a_python_that_leaves_it_open_is_this_one(project: Project, python: str) -> None:
    done = plan(project, "--env", "auto", dependencies=[python])
    assert (done.code, f"here, Python 3.{sys.version_info.minor}\n" in done.out) == (0, True)


@pytest.mark.parametrize("env", ["image:", "image: ", "image:-x", "image:No Such", "image:a\nb"])
def test_an_image_without_a_name(project: Project, env: str) -> None:
    done = plan(project, "--env", env)
    assert (done.code, done.err) == (2, f"--env {env}: expected the tag or id of an image, as image:python:3.11\n")


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("echo no >&2; exit 3", "does not answer as a Python of 3.8 or later: it says 'no', and ends with exit code 3"),
        ("echo '[1, 2]'", "does not answer as a Python of 3.8 or later"),
        ("""echo '["3.7.1", {}]'""", "has Python 3.7.1; deployments run under 3.8 to 3.14"),
        ("""echo '["2.7.1", {}]'""", "has Python 2.7.1; deployments run under 3.8 to 3.14"),
    ],
)
def test_an_interpreter_that_is_none(project: Project, answer: str, text: str) -> None:
    done = plan(project, "--env", str(program(project.folder / "env/bin/python", answer).parent.parent))
    assert (done.code, text in done.err, "Traceback" in done.err) == (2, True, False), done.err


def test_a_folder_whose_interpreter_is_gone(project: Project) -> None:
    (project.folder / "env/bin").mkdir(parents=True)
    (project.folder / "env/bin/python").symlink_to("/nowhere/python")
    done = plan(project, "--env", str(project.folder / "env"))
    assert (done.code, "has no bin/python that leads to one" in done.err) == (2, True)


@pytest.mark.parametrize("env", ["", "HERE", "none", "~"])
def test_a_word_that_is_nowhere(project: Project, env: str) -> None:
    done = plan(project, "--env", env)
    assert (done.code, "expected auto, here, venv, image:TAG, or the folder" in done.err) == (2, True)


def test_a_file_that_is_no_program(project: Project) -> None:
    (project.folder / "file").write_text("x")
    done = plan(project, "--env", str(project.folder / "file"))
    assert (done.code, "Permission denied; --env takes the folder of a venv" in done.err) == (2, True)


@pytest.mark.parametrize("words", ["No space left on device (os error 28)", "Disk quota exceeded (os error 122)"])
def test_a_full_disk_is_told_with_the_folders_to_change(words: str) -> None:
    error = UvError(f"error: Failed to install: a.whl (a==1)\n  cause: failed to copy file: {words}")
    text = explain_uv_error(error, "conda.yaml", {})
    assert text.endswith(
        "; make room, or choose another folder (BATCHTWIN_ENVIRONMENTS, and UV_CACHE_DIR for what uv keeps)"
    )
