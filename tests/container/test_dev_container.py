"""The dev container: its file can be built, and it has what the Makefile needs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from support import ROOT

Docker = Callable[..., str]
FOLDER = ROOT / ".devcontainer"


@pytest.mark.container
def test_it_builds_and_has_what_the_makefile_needs(docker: Docker) -> None:
    flags = shlex.split(os.environ.get("DOCKER_BUILD_FLAGS", ""))
    tag = "batchtwin-dev-container-test"
    docker("build", *flags, "--tag", tag, FOLDER)
    command = "id -un && python3 --version && node --version && npm --version >/dev/null && git --version && make"
    copied: tuple[str | Path, ...] = ("--volume", f"{ROOT}:/project:ro", "--workdir", "/project")
    printed = docker("run", "--rm", "--network", "none", *copied, tag, "bash", "-ec", command)
    assert printed.splitlines()[0] == "vscode" and "Python 3.11" in printed and "local-score" in printed
