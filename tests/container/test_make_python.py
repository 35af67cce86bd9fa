"""docker/make-python.sh: the empty environment of the image, by conda where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from support import ROOT

SCRIPT = ROOT / "docker/make-python.sh"
CONDA_FILE = ROOT / "environment/conda.yaml"
# As much of conda as the script uses. It keeps the file that it is given, and makes a venv.
CONDA = """\
    #!/usr/bin/env bash
    set -euo pipefail
    if [[ $1 == env ]]; then
      [[ "$2 $3 $4 $6" == "create --quiet --prefix --file" ]]
      cp "$7" "${CONDA_NOTES:-/}/asked.yaml"
      python3 -m venv "$5"
    fi
    echo "$@" >>"${CONDA_NOTES:-/}/asked.txt"
"""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
Docker = Callable[..., str]


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """A stand-in for conda, in a folder for the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "conda"
    program.write_text(textwrap.dedent(CONDA))
    program.chmod(0o755)
    return program


def make_python(conda_file: Path, prefix: Path, conda: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = f"{conda.parent}:{os.environ['PATH']}" if conda else os.environ["PATH"]
    env = {**os.environ, "PATH": path, "CONDA_NOTES": str(prefix.parent), "TMPDIR": str(prefix.parent)}
    return subprocess.run([SCRIPT, conda_file, prefix], env=env, capture_output=True, text=True, check=False)


def asks_for(folder: Path, python: str) -> Path:
    """environment/conda.yaml with another Python."""
    path = folder / "conda.yaml"
    text = CONDA_FILE.read_text()
    assert "python=3.11" in text
    path.write_text(text.replace("python=3.11", python))
    return path


def test_conda_is_given_the_conda_file_without_its_pip_section(tmp_path: Path, conda: Path) -> None:
    done = make_python(asks_for(tmp_path, f"python={PYTHON}"), tmp_path / "env", conda)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    whole = yaml.safe_load((tmp_path / "conda.yaml").read_text())
    whole["dependencies"] = [entry for entry in whole["dependencies"] if isinstance(entry, str)]
    assert yaml.safe_load((tmp_path / "asked.yaml").read_text()) == whole
    calls = (tmp_path / "asked.txt").read_text().splitlines()
    assert calls[0].startswith(f"env create --quiet --prefix {tmp_path / 'env'} --file ")
    assert calls[1] == "clean --all --yes --quiet"


def test_without_conda_it_is_a_venv(tmp_path: Path) -> None:
    done = make_python(asks_for(tmp_path, f"python=={PYTHON}.*"), tmp_path / "env")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert (tmp_path / "env/pyvenv.cfg").exists()


def test_a_base_image_with_another_python_is_refused(tmp_path: Path) -> None:
    done = make_python(asks_for(tmp_path, "python=3.99"), tmp_path / "env")
    assert done.returncode == 1
    assert f"asks for Python 3.99, the base image has {PYTHON}; choose another BASE_IMAGE" in done.stderr


def test_a_conda_file_without_python_is_refused(tmp_path: Path) -> None:
    done = make_python(asks_for(tmp_path, "libpython-static"), tmp_path / "env")
    assert done.returncode == 1
    assert "names no Python: add - python=3.11" in done.stderr


@pytest.mark.container
def test_a_base_image_with_conda_takes_the_conda_way(docker: Docker, image: str, conda: Path) -> None:
    """As far as the list of what to install: from there on both ways are one."""
    base = os.environ.get("BASE_IMAGE", "python:3.11-slim-bookworm")
    flags = os.environ.get("DOCKER_BUILD_FLAGS", "").split()
    tags = {"with-conda": f"{image}-test-conda", "list": f"{image}-test-list"}
    (conda.parent / "Dockerfile").write_text(f"FROM {base}\nCOPY conda /usr/local/bin/conda\n")
    os.environ["DOCKER_BUILDKIT"] = "1"
    docker("build", *flags, "--tag", tags["with-conda"], conda.parent)
    try:
        words = ("--file", ROOT / "docker/Dockerfile", "--build-arg", f"BASE_IMAGE={tags['with-conda']}")
        docker("build", *flags, *words, "--target", "list", "--tag", tags["list"], ROOT)
        look = ("run", "--rm", tags["list"], "cat")
        assert docker(*look, "/asked.txt").startswith("env create --quiet --prefix /opt/env --file ")
        assert "\nxgboost==" in docker(*look, "/build/scoring.txt")
    finally:
        docker("image", "rm", *tags.values())
