"""Advice on what to install names packages that an index has: batchtwin itself is in none."""

from __future__ import annotations

import pytest

from batchtwin.extras import install_command
from support import ROOT


@pytest.mark.parametrize(
    ("extras", "command"),
    [
        (("s3",), "pip install 's3fs>=2025.3'"),
        (("ray",), "pip install 'ray==2.60.0'"),
        (("serve", "workspace"), "pip install 'certifi' 'defusedxml>=0.7.1' 'fastapi>=0.115'"),
        (("none",), "install what pyproject.toml lists for none"),
    ],
)
def test_packages_are_named(extras: tuple[str, ...], command: str) -> None:
    assert install_command(*extras).startswith(command)
    assert "fsspec" not in install_command(*extras)


def test_nothing_suggests_to_install_batchtwin_by_name() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "Makefile"]
    assert [str(path) for path in files if "install 'batchtwin" in path.read_text(encoding="utf-8")] == []
