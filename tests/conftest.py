"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import ROOT, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project in a folder of its own."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def heart_model() -> Path:
    """The model that `make train` wrote."""
    path = ROOT / "model"
    assert (path / "MLmodel").is_file(), "run `make train` first (`make test` does)"
    return path
