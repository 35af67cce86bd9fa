"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import ROOT, Project


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to say, such as seeds and counts, also where they ran in other processes."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == "said":
                    terminalreporter.write_line(f"{report.nodeid}: {text}")


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
