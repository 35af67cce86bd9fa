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


def make_python(version: str, prefix: Path, conda: Path | None = None) -> subprocess.CompletedProcess[str]:
    conda_file = prefix.parent / "conda.yaml"
    conda_file.write_text(f"dependencies: [python={version}, pip]\n")
    path = f"{conda.parent}:{os.environ['PATH']}" if conda else os.environ["PATH"]
    env = {**os.environ, "PATH": path, "CONDA_NOTES": str(prefix.parent)}
    words: list[str | Path] = [SCRIPT, version, conda_file, prefix]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)


def test_conda_is_given_the_conda_file(tmp_path: Path, conda: Path) -> None:
    done = make_python(PYTHON, tmp_path / "env", conda)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    calls = (tmp_path / "asked.txt").read_text().splitlines()
    assert calls[0] == f"env create --quiet --prefix {tmp_path / 'env'} --file {tmp_path / 'conda.yaml'}"
    assert calls[1] == "clean --all --yes --quiet"


def test_without_conda_it_is_a_venv(tmp_path: Path) -> None:
    done = make_python(PYTHON, tmp_path / "env")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert (tmp_path / "env/pyvenv.cfg").exists()


def test_a_base_image_with_another_python_is_refused(tmp_path: Path) -> None:
    done = make_python("3.99", tmp_path / "env")
    assert done.returncode == 1
    assert f"asks for Python 3.99, the base image has {PYTHON}; choose another BASE_IMAGE" in done.stderr


@pytest.mark.container
def test_a_base_image_with_conda_takes_the_conda_way(docker: Docker, image: str, conda: Path) -> None:
    """As far as the empty environment: from there on both ways are one."""
    base = os.environ.get("BASE_IMAGE", "python:3.11-slim-bookworm")
    flags = os.environ.get("DOCKER_BUILD_FLAGS", "").split()
    tags = {"with-conda": f"{image}-test-conda", "python": f"{image}-test-python"}
    (conda.parent / "Dockerfile").write_text(f"FROM {base}\nCOPY conda /usr/local/bin/conda\n")
    os.environ["DOCKER_BUILDKIT"] = "1"
    docker("build", *flags, "--tag", tags["with-conda"], conda.parent)
    try:
        words = ("--file", ROOT / "docker/Dockerfile", "--build-arg", f"BASE_IMAGE={tags['with-conda']}")
        docker("build", *flags, *words, "--target", "python", "--tag", tags["python"], ROOT)
        look = ("run", "--rm", tags["python"], "cat")
        assert docker(*look, "/asked.txt").startswith("env create --quiet --prefix /opt/env --file conda.yaml")
        assert yaml.safe_load(docker(*look, "/asked.yaml"))["dependencies"] == ["python=3.11", "pip"]
    finally:
        docker("image", "rm", *tags.values())
