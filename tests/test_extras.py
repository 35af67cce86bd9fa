"""Packages that only some users need: named as an index knows them, where they are missing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from batchtwin.azure.cli.commands import NEEDED as WORKSPACE
from batchtwin.azure.rest.commands import NEEDED as SERVE
from batchtwin.extras import install_command, requirements
from support import ROOT

EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
MODULES = {"pyjwt": "jwt"}


def names(*extras: str) -> set[str]:
    packages = {Requirement(line).name for extra in extras for line in EXTRAS[extra]}
    return {MODULES.get(name, name) for name in packages}


def test_every_package_of_an_extra_is_missed_by_name() -> None:
    assert set(WORKSPACE) == names("workspace")
    # The server needs nothing for the words of `az`.
    assert set(SERVE) == names("serve", "workspace") - {"jmespath", "knack"}


@pytest.mark.parametrize("extra", ["ray", "s3", "serve", "workspace"])
def test_an_extra_is_installed_by_the_names_of_its_packages(extra: str) -> None:
    """batchtwin itself is on no index."""
    command = install_command(extra)
    assert "batchtwin" not in command
    known = {Requirement(line).name for line in requirements(extra)}
    # An installation from before it moved to the extra has it in the core.
    assert known >= {Requirement(line).name for line in EXTRAS[extra]} - {"psutil"}


def test_a_copy_without_metadata_names_the_extra() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n"
        "from batchtwin.extras import install_command; print(install_command('serve', 'workspace'))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install '.[serve,workspace]'\n"


def test_no_message_names_batchtwin_as_if_it_were_on_an_index() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        assert not re.search(r"install '?\"?batchtwin", path.read_text(encoding="utf-8")), path
