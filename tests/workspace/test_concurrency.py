"""Many processes on one workspace at once: on SQLite, and on PostgreSQL where that is installed."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchtwin.workspace.entities import JobStatus
from batchtwin.workspace.errors import StoreError
from batchtwin.workspace.workspace import Workspace
from support import Project

if TYPE_CHECKING:
    from workspace.conftest import Crowd, Rehearsal

ALL = 24


def postgresql_programs() -> str | None:
    """The folder of `initdb` and `pg_ctl`; Debian keeps them off the PATH."""
    program = shutil.which("initdb")
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return os.path.dirname(program) if program else next(reversed(debian), None)


@contextmanager
def cluster(programs: str) -> Iterator[str]:
    """A private PostgreSQL on a socket in a folder of its own; it refuses to run as root."""
    user: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chmod(folder, 0o755)  # noqa: S103 - the tests connect as another user

        def do(*words: str) -> None:
            log = Path(folder) / "log"
            done = subprocess.run(words, capture_output=True, text=True, cwd=folder, check=False, **user)
            assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")

        data, settings = f"{folder}/data", f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=200"
        do(f"{programs}/initdb", "-D", data, "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8")
        control = (f"{programs}/pg_ctl", "-D", data, "-w")
        do(*control, "-l", f"{folder}/log", "-o", settings, "start")
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            do(*control, "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a database server that lives as long as these tests."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's programs")
    with cluster(programs) as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A workspace that is not there yet."""
    monkeypatch.chdir(tmp_path)  # content of a database server's workspace goes to .batchtwin here
    if request.param == "sqlite":
        yield str(tmp_path / "place")
        return
    address: str = request.getfixturevalue("postgresql")
    yield address
    with Workspace.open(address) as workspace:
        drop(workspace)


def drop(workspace: Workspace) -> None:
    """Leave the database as it was."""
    from batchtwin.workspace.database.tables import metadata

    with workspace.store.write() as connection:
        metadata.drop_all(connection)


def test_versions_have_no_holes_and_no_doubles(where: str, crowd: Crowd, tmp_path: Path) -> None:
    """The workspace itself is made by all of them at once, too."""
    for number in range(ALL):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/weights.txt").write_text(f"{number}")
    body = f"""
    asset = workspace.assets.create("model", "heart", path=Path({str(tmp_path)!r}) / str(number))
    return [int(asset.version), (asset.path / "weights.txt").read_text()]
    """
    answers = crowd(ALL, where, body)
    assert sorted(version for version, _ in answers) == list(range(1, ALL + 1))
    assert [text for _, text in answers] == [str(number) for number in range(ALL)]
    with Workspace.open(where) as workspace:
        assert len(workspace.assets.list("model", "heart")) == ALL


def test_the_same_content_is_one_version(where: str, crowd: Crowd, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights.txt").write_text("1")
    body = f'return workspace.assets.create("model", "heart", path=Path({str(tmp_path / "model")!r})).version'
    assert set(crowd(ALL, where, body)) == {"1"}


def test_everything_at_once(where: str, crowd: Crowd, tmp_path: Path) -> None:
    """Endpoints, deployments and defaults come and go; what is there at the end goes together."""
    project = Project(tmp_path / "project", script="def run(files): return files")
    yaml_file = project.write()
    body = f"""
    from batchtwin.workspace.errors import NotFoundError
    workspace.computes.create("cluster")
    endpoint, name = f"endpoint{{number % 3}}", f"deployment{{number % 4}}"
    for _ in range(2):
        try:
            workspace.endpoints.create(endpoint, tags={{"by": str(number)}})
            workspace.deployments.create(Path({str(yaml_file)!r}), endpoint=endpoint, name=name, set_default=True)
            if number % 5 == 0:
                workspace.deployments.delete(endpoint, name)
            if number % 7 == 0:
                workspace.endpoints.delete(endpoint)
            workspace.deployments.list(endpoint)
        except NotFoundError:
            pass  # another was faster
    """
    crowd(20, where, body)
    with Workspace.open(where) as workspace:
        for endpoint in workspace.endpoints.list():
            names = {deployment.name for deployment in workspace.deployments.list(endpoint.name)}
            assert endpoint.default_deployment in names | {None}


def test_one_job_name_is_one_job(where: str, crowd: Crowd, rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    inputs = str(rehearsal.project.inputs)
    body = f'return workspace.jobs.invoke(Invocation("test-endpoint", input={inputs!r}, job_name="x")).name'
    assert set(crowd(10, where, body)) == {"x"}
    assert len(rehearsal.workspace.jobs.list()) == 1
    assert rehearsal.end(rehearsal.workspace.jobs.get("x")).status is JobStatus.COMPLETED


def test_jobs_at_once(where: str, crowd: Crowd, rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    inputs = str(rehearsal.project.inputs)
    body = f'return workspace.jobs.invoke(Invocation("test-endpoint", input={inputs!r})).name'
    for name in crowd(5, where, body):
        job = rehearsal.end(rehearsal.workspace.jobs.get(name))
        assert job.status is JobStatus.COMPLETED, job.error
        assert (job.output / "named-outputs/score/predictions.csv").read_text() == "0\n1\n"


def test_a_database_server_keeps_content_where_it_was_first_opened(postgresql: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    before = os.getcwd()
    try:
        os.chdir(tmp_path)
        Workspace.open(postgresql).close()
        os.chdir(tmp_path / "other")
        with Workspace.open(postgresql) as workspace:
            assert workspace.jobs.mlflow_uri() == f"sqlite:///{tmp_path / '.batchtwin/mlflow.db'}"
            drop(workspace)
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("postgresql+psycopg://me:secret@/x?host=/nowhere", "OperationalError"),
        ("nonsense://x", "driver"),
        ("://", "neither a folder nor a database URL"),
        ("sqlite://", "would not outlive"),
    ],
)
def test_an_address_that_leads_nowhere(address: str, text: str) -> None:
    with pytest.raises(StoreError, match=text) as caught:
        Workspace.open(address)
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = "Not a directory: no workspace can be made there; .*, or choose another folder: BATCHTWIN_WORKSPACE"
    with pytest.raises(StoreError, match=text):
        Workspace.open(str(tmp_path / "file/workspace"))


def test_a_create_that_races_a_delete_finds_what_it_made(rehearsal: Rehearsal, where: str, crowd: Crowd) -> None:
    """An endpoint, a compute and a deployment are returned as they were written, even if they are deleted at once."""
    rehearsal.deploy()
    body = f"""
        from contextlib import suppress
        from pathlib import Path
        from batchtwin.workspace.errors import NotFoundError
        yaml = Path({str(rehearsal.project.folder / "deployment.yml")!r})
        parts = workspace.endpoints, workspace.computes
        done = yaml.with_name("done")
        while number >= 4 and not done.exists():
            for part in parts:
                with suppress(NotFoundError):
                    part.delete("raced")
            with suppress(NotFoundError):
                workspace.deployments.delete("test-endpoint", "raced")
        try:
            for _ in range(20 * (number < 4)):
                for part in parts:
                    assert part.create("raced").name == "raced"
                assert workspace.deployments.create(yaml, name="raced").name == "raced"
        finally:
            done.touch()
        return number
    """
    assert sorted(crowd(8, where, body)) == list(range(8))
