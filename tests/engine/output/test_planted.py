"""What a script may plant in the output folder: links and pipes in the places of files that the controller opens."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import commands
from batchtwin.engine.job import Job, Rules
from batchtwin.engine.ledger import Ledger, LedgerError
from batchtwin.engine.logs import Logs, write_result
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.output.manifest import Manifest, ManifestError
from batchtwin.errors import OutputError
from batchtwin_node.protocol import Failure
from support import Project, batchtwin

CONTENT = "of the host\n"
WRONG_KIND = r"is a symbolic link|is not a regular file"
SECONDS = 30  # a pipe that is opened without a reader hangs


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the host that a planted link leads to."""
    path = tmp_path / "secret"
    path.write_text(CONTENT)
    return path


@pytest.fixture
def done(project: Project) -> Project:
    """A complete job with one failed file."""
    project.files(3)
    project.script = """
        import os
        def run(mini_batch):
            if mini_batch[0].endswith("01.txt"):
                raise ValueError("no")
            return [os.path.basename(path) for path in mini_batch]
    """
    project.settings = {"retry_settings": {"max_retries": 1}}
    assert project.score().code == 0
    return project


def link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def pipe(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def run(*words: str | Path) -> tuple[int, str]:
    """Run the command; one that hangs is an error."""
    code, _, err = commands.run([*map(str, words)], Path.cwd(), os.environ, SECONDS)
    return code, err


@pytest.mark.parametrize(("plant", "why"), [(link, "is a symbolic link"), (pipe, "is not a regular file")])
@pytest.mark.parametrize("verb", ["resume", "score"])
def test_the_lock(done: Project, secret: Path, verb: str, plant: Callable[[Path, Path], None], why: str) -> None:
    job = done.folder / "job"
    plant(job / ".lock", secret)
    code, err = run("resume", job) if verb == "resume" else run(*done.words("--overwrite"))
    assert (code, err.splitlines()[-1]) == (2, f"{job}/.lock: {why}; choose another folder: --output DIR")
    assert secret.read_text() == CONTENT


def test_a_dangling_lock_makes_no_file(done: Project, tmp_path: Path) -> None:
    link(done.folder / "job/.lock", tmp_path / "new")
    assert run("resume", done.folder / "job")[0] == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("plant", [link, pipe])
@pytest.mark.parametrize(
    "name", [".failures.jsonl.new", ".manifest.json.new", ".job.sqlite.new", "failures.jsonl", "segments/assembled"]
)
@pytest.mark.parametrize("verb", ["resume", "score"])
def test_files_that_are_written_whole(
    done: Project, secret: Path, verb: str, name: str, plant: Callable[[Path, Path], None]
) -> None:
    job = done.folder / "job"
    (job / "segments").mkdir(exist_ok=True)
    plant(job / name, secret)
    code, err = run("resume", job, "--retry-failed") if verb == "resume" else run(*done.words("--overwrite"))
    assert code == 0, err
    assert secret.read_text() == CONTENT
    assert not (job / "failures.jsonl").is_symlink()
    assert batchtwin("verify", job).code == 0


def test_the_log_files(done: Project, secret: Path) -> None:
    job = done.folder / "job"
    for name in ("job_result.txt", "readme.txt", "user/error.txt"):
        link(job / "logs" / name, secret)
    assert run("resume", job, "--retry-failed")[0] == 0
    assert secret.read_text() == CONTENT
    link(job / "logs/sys/job_report/processed_mini-batches.csv", secret)
    code, err = run("resume", job, "--retry-failed")
    assert code != 0
    assert "is a symbolic link" in err
    assert secret.read_text() == CONTENT


@pytest.mark.parametrize("plant", [link, pipe])
def test_the_logs_of_a_worker(tmp_path: Path, secret: Path, plant: Callable[[Path, Path], None]) -> None:
    (tmp_path / "job/logs/sys/node/node0").mkdir(parents=True)
    plant(tmp_path / "job/logs/sys/node/node0/process000.txt", secret)
    with pytest.raises(OSError, match=WRONG_KIND), closing(Logs(tmp_path / "job/logs")) as logs:
        logs.started("node0/process000", 1, "forked")
        logs.flush()
    assert secret.read_text() == CONTENT


@pytest.mark.parametrize("name", ["logs", "logs/user", "logs/sys"])
def test_a_folder_of_the_logs(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "job" / name).parent.mkdir(parents=True)
    (tmp_path / "job" / name).symlink_to(elsewhere)
    with pytest.raises(OSError, match="is a symbolic link"), closing(Logs(tmp_path / "job/logs")) as logs:
        logs.failure(Failure(worker="node0/process000", kind="raised", message="no", pid=1, started=0.0), "a.txt")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["named-outputs", "named-outputs/score", "segments"])
def test_a_folder_of_the_output(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "score").mkdir(parents=True)
    (elsewhere / "score/precious").touch()
    folder = OutputFolder(tmp_path / "job", "x.csv")
    (folder.root / name).parent.mkdir(parents=True)
    (folder.root / name).symlink_to(elsewhere)
    with pytest.raises(OutputError, match="is a symbolic link"):
        folder.make()
    folder.clear()
    assert (elsewhere / "score/precious").exists()
    folder.make()
    assert not (folder.root / name).is_symlink()


@pytest.mark.parametrize("name", ["job.sqlite", "job.sqlite-wal", "job.sqlite-shm"])
@pytest.mark.parametrize("plant", [link, pipe])
def test_the_ledger(done: Project, secret: Path, name: str, plant: Callable[[Path, Path], None]) -> None:
    path = done.folder / "job" / name
    plant(path, secret)
    with pytest.raises(LedgerError, match=f"{name}: is .*; score again with --overwrite"):
        Ledger.open(done.folder / "job/job.sqlite")
    assert secret.read_text() == CONTENT


@pytest.mark.parametrize("plant", [link, pipe])
def test_the_manifest(tmp_path: Path, secret: Path, plant: Callable[[Path, Path], None]) -> None:
    plant(tmp_path / "manifest.json", secret)
    with pytest.raises(ManifestError, match=WRONG_KIND):
        Manifest.read(tmp_path / "manifest.json")


@pytest.mark.parametrize("plant", [link, pipe])
def test_a_segment(project: Project, secret: Path, plant: Callable[[Path, Path], None]) -> None:
    project.files(2)
    project.script = "def run(mini_batch): return ['row']"
    crash = {"BATCHTWIN_CRASH_AT": f"parent:committed:{project.folder / 'crash'}"}
    assert project.score("--workers", "1", env=crash).code == -9
    job = project.folder / "job"
    [segment] = (job / "segments").iterdir()
    plant(segment, secret)
    code, err = run("resume", job)
    assert (code, "the mini-batch is run again" in err) == (0, True), err
    assert batchtwin("verify", job).code == 0


@pytest.mark.parametrize("plant", [link, pipe])
def test_the_file_that_is_assembled(project: Project, secret: Path, plant: Callable[[Path, Path], None]) -> None:
    project.files(2)
    project.script = "def run(mini_batch): return ['row']"
    crash = {"BATCHTWIN_CRASH_AT": f"parent:committed:{project.folder / 'crash'}"}
    assert project.score("--workers", "1", env=crash).code == -9
    plant(project.folder / "job/segments/assembled", secret)
    code, err = run("resume", project.folder / "job")
    assert (code, secret.read_text()) == (0, CONTENT), err


@pytest.mark.parametrize("plant", [link, pipe])
def test_the_predictions(done: Project, secret: Path, plant: Callable[[Path, Path], None]) -> None:
    path = done.folder / "job/named-outputs/score/predictions.csv"
    plant(path, secret)
    code, err = run("verify", done.folder / "job")
    assert (code, f"{path}: is " in err) == (1, True), err


def test_a_result_is_not_written_through_a_link(done: Project, secret: Path, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/logs").symlink_to(tmp_path)
    job = Job([1], Rules(tries=1, error_threshold=-1, append_row=True, workers=1))
    with pytest.raises(OSError, match="is a symbolic link"):
        write_result(tmp_path / "job/logs", job, "")
    assert not (tmp_path / "job_result.txt").exists()
