"""Advice on what to install names packages that an index has: batchtwin itself is in none."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement

from batchtwin.azure.cli.commands import NEEDED as WORKSPACE
from batchtwin.azure.rest.commands import NEEDED as SERVE
from batchtwin.extras import install_command
from support import ROOT


@pytest.mark.parametrize(
    ("extras", "command"),
    [
        (("s3",), "pip install 's3fs>="),
        (("ray",), "pip install 'ray==2.60.0'"),
        (("serve", "workspace"), "pip install 'certifi' 'defusedxml>=0.7.1' 'fastapi>="),
        (("none",), "install what pyproject.toml lists for none"),
    ],
)
def test_packages_are_named(extras: tuple[str, ...], command: str) -> None:
    assert install_command(*extras).startswith(command)
    assert "fsspec" not in install_command(*extras)


def test_nothing_suggests_to_install_batchtwin_by_name() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "Makefile"]
    assert [str(path) for path in files if "install 'batchtwin" in path.read_text(encoding="utf-8")] == []


def modules(*extras: str) -> set[str]:
    """The modules that extras bring; all but one have the name of their package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(line).name for extra in extras for line in project["optional-dependencies"][extra]}
    return {{"pyjwt": "jwt"}.get(name, name) for name in names}


def test_every_package_of_an_extra_is_missed_by_name() -> None:
    assert set(WORKSPACE) == modules("workspace")
    # The server needs nothing for the words of `az`.
    assert set(SERVE) == modules("serve", "workspace") - {"jmespath", "knack"}
