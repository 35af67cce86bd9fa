"""The fixture of jobs that are warm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_jobs import Warm

from batchtwin.engine.backends.warm.servers import stop_servers
from support import Project


@pytest.fixture
def warm(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    folder = tmp_path / "servers"
    monkeypatch.setenv("BATCHTWIN_WARM_FOLDER", str(folder))
    yield Warm(project, folder)
    if folder.is_dir() and not folder.is_symlink() and not folder.stat().st_mode & 0o077:
        stop_servers()
