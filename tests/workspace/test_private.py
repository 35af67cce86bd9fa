"""What a workspace keeps is for its owner: deployments hold environment variables (behaviour.md, section 12)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchtwin.workspace.workspace import Workspace

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Files get all the rights that a program asks for."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """The rights of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_of_a_workspace_is_private(workspace: Workspace) -> None:
    assert mode(workspace.root) == 0o700


def test_the_database_of_a_workspace_is_private(workspace: Workspace) -> None:
    workspace.computes.create("cluster")
    files = {path.name: mode(path) for path in workspace.root.glob("workspace.sqlite*")}
    assert files == dict.fromkeys(["workspace.sqlite", "workspace.sqlite-shm", "workspace.sqlite-wal"], 0o600)


def test_a_folder_that_exists_keeps_its_rights(where: str) -> None:
    Path(where).mkdir(mode=0o755)
    Workspace.open(where).close()
    assert mode(Path(where)) == 0o755
    assert mode(Path(where) / "workspace.sqlite") == 0o600


def test_what_holds_the_variables_of_a_job_is_private(rehearsal: Rehearsal) -> None:
    rehearsal.deploy(environment_variables={"KEY": "secret"})
    job = rehearsal.end(rehearsal.invoke())
    private = {path.name for path in job.output.rglob("*") if path.is_file() and not mode(path) & 0o077}
    assert private >= {"deployment.yml", "job.sqlite"}
    readable = [path for path in job.output.rglob("*") if path.is_file() and mode(path) & 0o077]
    assert [path for path in readable if b"secret" in path.read_bytes()] == []


def test_the_secret_of_an_address_is_in_no_file_of_a_job(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:s3cr3t@127.0.0.1:9")
    script = """
        import os

        def run(mini_batch):
            raise ConnectionError("no answer of " + os.environ["MLFLOW_REGISTRY_URI"])
    """
    rehearsal.deploy(script, error_threshold=0)
    job = rehearsal.end(rehearsal.invoke())
    assert "no answer of http://127.0.0.1:9" in (job.error or "")
    files = [path for path in rehearsal.workspace.root.rglob("*") if path.is_file()]
    assert [path for path in files if b"s3cr3t" in path.read_bytes()] == []
