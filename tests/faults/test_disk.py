"""A disk that refuses while a job runs: a clear line, nothing half done, and a job that ends once the disk is mended.

The errors are the kernel's own. Nobody can write to the first bytes of a process's memory: /proc/self/mem says EIO.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import COMMAND, DEADLINE, Finished, Project, batchtwin

# In run(): at file 02.txt, and as long as SICK is there, {harm} is done.
SCRIPT = """
    import os, pathlib, resource
    segments = pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], "../../segments")
    def parent(pid):
        return int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])

    def run(mini_batch):
        name = os.path.basename(mini_batch[0])
        if name == "02.txt" and os.path.exists(os.environ["SICK"]):
            {harm}
        return [f"{{name}} {{row}}" for row in range(20_000)]
"""
EXPECTED = "".join(f"{number:02}.txt {row}\n" for number in range(5) for row in range(20_000))
BAD_SEGMENT = """
            [segment] = [fd for fd in os.listdir("/proc/self/fd")
                         if os.path.realpath(f"/proc/self/fd/{fd}").endswith(".segment")]
            os.dup2(os.open("/proc/self/mem", os.O_WRONLY), int(segment))
"""
# A limit is the one error that can be had in the middle of a file. It is the controller's.
LIMIT = 700_000
# Worker, node, supervisor, controller.
CONTROLLER = "parent(parent(os.getppid()))"
LIMITED_PARENT = f"resource.prlimit({CONTROLLER}, resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))"
LOCK = "os.chmod(os.environ['LOCKED'], 0o500)"
LOCK_AND_DIE = LOCK + "; os.remove(os.environ['SICK']); os.kill(os.getpid(), 9)"
# Root without the right to write anywhere (prctl PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) is held by a folder's mode, as all
# others are anyway. To become another user, as in support.unprivileged, needs a Python that this user may run.
UNPRIVILEGED = [
    *(sys.executable, "-c"),
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1); os.execv(sys.argv[1], sys.argv[1:])",
]


@pytest.fixture
def job(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose disk is sick until the file `sick` is removed."""
    project.files(5)
    (project.folder / "sick").touch()
    monkeypatch.setenv("SICK", str(project.folder / "sick"))
    return project


def run(project: Project, *words: str | Path) -> Finished:
    done = subprocess.run(
        [*UNPRIVILEGED, COMMAND, *words], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr, project.folder / "job")


def score(project: Project, harm: str) -> Finished:
    project.script = SCRIPT.format(harm=harm.strip())
    return run(project, *project.words("--workers", "1"))


def assert_refused(done: Finished, file: Path, error: str) -> None:
    """One clear line says which file, why, and what to do; there is no output, and nothing is blamed on the items."""
    assert (done.code, done.out.splitlines()[0]) == (1, "Failed"), done.err
    [line] = [line for line in done.err.splitlines() if error in line]
    assert line.startswith(f"{file}: "), line
    assert line.endswith(f"; fix the cause, then run `batchtwin resume {done.output}`"), line
    assert "Traceback" not in done.err
    assert not (done.output / "named-outputs/score/predictions.csv").exists()
    assert done.failures == []
    assert " 0 failed." in done.out


def assert_resumed(project: Project) -> None:
    """The bytes of a job that was left in peace, and the whole of them proved."""
    (project.folder / "sick").unlink(missing_ok=True)
    done = run(project, "resume", project.folder / "job")
    assert done.code == 0, done.err
    assert done.predictions == EXPECTED
    assert batchtwin("verify", project.folder / "job").code == 0


def test_an_io_error_while_a_worker_writes(job: Project) -> None:
    done = score(job, BAD_SEGMENT)
    assert_refused(done, done.output / "segments/run1-node0-process000.segment", "Input/output error")
    assert "Processed 2 mini batches" in done.out, "what was committed before stays"
    assert_resumed(job)


@pytest.mark.local
def test_an_error_in_the_middle_of_the_output(job: Project) -> None:
    done = score(job, LIMITED_PARENT)
    assert_refused(done, done.output / "named-outputs/score/predictions.csv", "File too large")
    assert LIMIT < len(EXPECTED)
    assert list((done.output / "segments").glob(".*")) == [], "half a file is removed"
    assert_resumed(job)


@pytest.mark.parametrize(
    ("locked", "dies", "file"),
    [
        ("named-outputs/score", False, "named-outputs/score/predictions.csv"),
        ("segments", False, "segments"),
        (".", False, "manifest.json"),
        # The worker that takes the place of a dead one has to make its own files.
        pytest.param("segments", True, "segments/run1-node0-process001.segment", marks=pytest.mark.local),
        pytest.param(
            *("logs/user/stdout/node0", True, "logs/user/stdout/node0/process001.stdout.txt"), marks=pytest.mark.local
        ),
        pytest.param("scratch", True, "scratch/worker1", marks=pytest.mark.local),
    ],
)
def test_a_folder_that_may_no_longer_be_written(
    job: Project, monkeypatch: pytest.MonkeyPatch, locked: str, dies: bool, file: str
) -> None:
    folder = job.folder / "job" / locked
    monkeypatch.setenv("LOCKED", str(folder))
    done = score(job, LOCK_AND_DIE if dies else LOCK)
    assert_refused(done, done.output / file, "Permission denied")
    if file.endswith("predictions.csv"):
        assert_refused(run(job, "resume", done.output), done.output / file, "Permission denied")
    os.chmod(folder, 0o700)
    assert_resumed(job)
