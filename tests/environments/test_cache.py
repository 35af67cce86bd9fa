"""The cache of environments: its limit, what a job uses, what killed builds leave, and folders that refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtwin.environments import cache as environments
from batchtwin.environments.cache import Environment
from batchtwin.environments.pip_lines import RequirementsFileError
from batchtwin.environments.requested import HERE, RequestedEnvironment
from batchtwin.environments.venv import EnvironmentBuildError, environment_for
from batchtwin.errors import UsageError
from package_server import wheel
from support import COMMAND, DEADLINE, Project, batchtwin, unprivileged, wait_for

Request = Callable[..., RequestedEnvironment]


def used(environment: Environment, minutes_ago: float) -> None:
    """Set when it was used last."""
    moment = time.time() - 60 * minutes_ago
    os.utime(environment.path / environments.RECORD, (moment, moment))


@pytest.mark.parametrize(
    ("text", "size"),
    [("20g", 20 << 30), ("1.5 GiB", 3 << 29), ("500MB", 500 << 20), ("7k", 7 << 10), ("12", 12), ("none", None)],
)
def test_the_limit_is_a_size(monkeypatch: pytest.MonkeyPatch, text: str, size: int | None) -> None:
    monkeypatch.setenv(environments.MAXIMUM, text)
    assert environments.limit() == size


@pytest.mark.parametrize("text", ["much", "-1g", "1e9", "20 x", "g"])
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, cache: Path, text: str) -> None:
    monkeypatch.setenv(environments.MAXIMUM, text)
    done = batchtwin("environments", "list")
    assert (done.code, done.err) == (
        2,
        f"BATCHTWIN_ENVIRONMENTS_MAX={text}: is no size; write it as 20g, 500m or none\n",
    )


def test_the_least_lately_used_make_room_and_none_that_a_job_uses(
    request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, older, old = (environment_for(request_for(line)) for line in ("tiny", "tiny<2", "tiny>1"))
    for minutes, environment in enumerate((old, older, oldest), start=2):
        used(environment, minutes)
    size = max(environment.record.size for environment in (oldest, older, old))
    monkeypatch.setenv(environments.MAXIMUM, str(2 * size + size // 2))
    descriptor = oldest.use()
    assert descriptor is not None
    notes: list[str] = []
    try:
        new = environment_for(request_for("tiny>=1"), progress=notes.append)
    finally:
        os.close(descriptor)
    left = {environment.record.key for environment in environments.environments()}
    assert left == {oldest.record.key, new.record.key}
    assert sum("BATCHTWIN_ENVIRONMENTS_MAX leaves no room for it" in note for note in notes) == 2


def test_one_that_was_just_used_and_the_new_one_stay_whatever_the_limit(
    request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environments.MAXIMUM, "1")
    first = environment_for(request_for("tiny"))
    environment_for(request_for("tiny<2"))
    assert len(list(environments.environments())) == 2
    used(first, 2)
    environment_for(request_for("tiny>1"))
    assert first.record.key not in {environment.record.key for environment in environments.environments()}


def test_upgrade_makes_it_again_with_newer_versions(request_for: Request, wheels: Path) -> None:
    first = environment_for(request_for("tiny"))
    wheel(wheels, "tiny", "3.0")
    lock = first.lock
    assert "tiny==2.0" in lock
    # Wheels beside the lines are part of the key; an index that has a newer version is not.
    (wheels / "tiny-2.0-py3-none-any.whl").rename(wheels.parent / "old.whl")
    again = environment_for(request_for("tiny"), upgrade=True)
    assert "tiny==3.0" in again.lock


def deployment(project: Project, lines: list[str], script: str = "def run(mini_batch): return mini_batch") -> Path:
    """A deployment with a conda file of these lines."""
    project.script = script
    path = project.write()
    (project.folder / "conda.json").write_text(json.dumps({"dependencies": [f"python={HERE}", {"pip": lines}]}))
    path.write_text(path.read_text().replace("environment:", "environment:\n  conda_file: conda.json"))
    return path


@pytest.mark.parametrize("by_path", [False, True])
def test_an_environment_stays_while_a_job_runs_in_it(project: Project, cache: Path, by_path: bool) -> None:
    project.files(1)
    wheel(project.folder, "tiny")
    script = """
        import time
        from pathlib import Path
        def run(mini_batch):
            folder = Path(mini_batch[0]).parent.parent
            (folder / "started").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
            return mini_batch
    """
    path = deployment(project, ["./tiny-1.0-py3-none-any.whl"], script)
    output = project.folder / "job"
    env = batchtwin("environments", "build", path).out.strip() if by_path else "venv"
    words: list[str | Path] = [COMMAND, "score", path, "--input", project.inputs, "--output", output, "--env", env]
    job = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    wait_for(lambda: (project.folder / "started").exists() or job.poll() is not None)
    [entry] = json.loads(batchtwin("environments", "list", "--json").out)
    assert entry["is_used"] is True
    done = batchtwin("environments", "remove", entry["key"])
    assert (done.code, "a job runs in this environment" in done.err) == (2, True)
    assert batchtwin("environments", "remove", "--unused", "0").out == ""
    (project.folder / "go").touch()
    assert job.wait(DEADLINE) == 0
    assert batchtwin("environments", "remove", "--unused", "0").out.startswith("removed ")
    assert list(environments.environments()) == []


def test_an_environment_that_was_removed_before_its_job_began_is_named(request_for: Request) -> None:
    environment = environment_for(request_for("tiny"))
    environments.remove(environment)
    with pytest.raises(UsageError, match="was removed or made again just now"):
        environment.use()


BUILD = """
import sys
from pathlib import Path
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin.environments.venv import environment_for
environment_for(RequestedEnvironment("conda.yaml", pip=(sys.argv[2],), options=("--no-index", "--find-links ./wheels"),
                folder=Path(sys.argv[1])))
"""


def test_a_build_that_is_killed_leaves_nothing_that_lasts(request_for: Request, tmp_path: Path, cache: Path) -> None:
    words = [sys.executable, "-c", BUILD, str(tmp_path), "tiny"]
    process = subprocess.Popen(words)
    wait_for(lambda: any(cache.glob(".*.new/bin/python")) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(environments.environments()) == []
    environment_for(request_for("tiny<2"))
    assert [path.name for path in cache.glob("*.new")] == []
    assert [path for path in cache.glob(".*.new") if path.is_dir()] == []
    assert "tiny" in environment_for(request_for("tiny")).lock


def test_what_is_no_environment_is_left_alone(request_for: Request, cache: Path) -> None:
    environment_for(request_for("tiny"))
    (cache / "notes").mkdir()
    (cache / "0123456789abcdef0123").mkdir()
    environment_for(request_for("tiny<2"))
    assert (cache / "notes").is_dir()
    assert not (cache / "0123456789abcdef0123").exists()


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    """Root may write everywhere: nobody cannot."""
    with unprivileged() as folder, pytest.MonkeyPatch.context() as patch:
        (folder / "closed").mkdir(mode=0o500)
        patch.setenv("BATCHTWIN_ENVIRONMENTS", str(folder / "closed/environments"))
        with pytest.raises(EnvironmentBuildError, match=r"Permission denied: no environment can be made there; .*"):
            environment_for(RequestedEnvironment("conda.yaml", pip=("tiny",)))


def test_a_line_that_names_what_cannot_be_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "x.whl").write_text("")
    secret.chmod(0o600)
    with unprivileged(), pytest.raises(RequirementsFileError, match=r"Permission denied; '\./secret/x\.whl' names it"):
        environment_for(RequestedEnvironment("conda.yaml", pip=("./secret/x.whl",), folder=tmp_path))


def test_an_environment_in_a_cache_that_cannot_be_written_is_used(request_for: Request, cache: Path) -> None:
    environment = environment_for(request_for("tiny"))
    for path in (cache, cache.parent, cache.parent.parent):
        path.chmod(0o755)
    cache.chmod(0o555)
    uid = os.getuid()
    if uid == 0:
        os.setresuid(65534, 65534, 0)
    try:
        if os.access(environment.python, os.X_OK):
            assert environment_for(request_for("tiny")).record == environment.record
            assert environment.use() is None
    finally:
        if uid == 0:
            os.setresuid(0, 0, 0)
        cache.chmod(0o755)


@pytest.mark.parametrize("limit", [200_000])
def test_a_disk_that_is_full_is_told_in_words(request_for: Request, tmp_path: Path, limit: int) -> None:
    """A limit of the size of a file stands in for the disk: uv's writes fail as there."""
    code = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    code += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit // 1000}, {limit // 1000}))\n" + BUILD
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "tiny"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    # Whatever measures the process may print more at its end: its disk is full, too.
    [last] = [line for line in done.stderr.splitlines() if line.startswith("batchtwin.environments.build.")]
    assert last.startswith("batchtwin.environments.build.EnvironmentBuildError: "), done.stderr[-2000:]
    assert list(environments.environments()) == []
