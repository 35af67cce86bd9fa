"""Whatever is killed, whenever: the job that is resumed ends with the bytes of one that was left in peace."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from support import COMMAND, DEADLINE, Finished, Project, batchtwin, is_over, wait_for, warm

SCRIPT = """
    import os, pathlib, time
    def run(mini_batch):
        with open(os.environ["RUNS"], "a") as runs:
            runs.write("run\\n")
        return [f"{os.path.basename(path)} {row}" for path in mini_batch for row in range(100)]
"""
# Random kills go on for so long in all; `make soak` has more of them.
SECONDS = 30.0
# At which a job may be killed, with some to spare.
MOST_POINTS = 40


@pytest.fixture
def job(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose script notes each of its runs in a file."""
    project.files(6)
    project.settings = {"mini_batch_size": 2}
    project.script = SCRIPT
    monkeypatch.setenv("RUNS", str(project.folder / "runs"))
    return project


def expected(files: int) -> str:
    return "".join(f"{number:02}.txt {row}\n" for number in range(files) for row in range(100))


def finish(project: Project) -> Finished:
    """Resume; a job that had no ledger yet had not begun, and is scored again."""
    if not (project.folder / "job/job.sqlite").exists():
        return project.score(env=warm())
    done = batchtwin("resume", project.folder / "job", env=warm())
    return Finished(done.code, done.out, done.err, project.folder / "job")


def test_killed_at_every_point_of_the_parent(job: Project, record_property: Callable[[str, object], None]) -> None:
    job.script = SCRIPT.replace("return [", "time.sleep(0.05)\n        return [")
    wanted = {"cleared", "plan in the ledger", "before commit", "committed", "assembled", "manifest written"}
    passed: list[str] = []
    for _ in range(MOST_POINTS):
        flag = job.folder / f"crash-{len(passed)}"
        # One worker that takes its time: events come one by one.
        done = job.score(
            "--overwrite", "--workers", "1", env={"BATCHTWIN_CRASH_AT": f"parent:{len(passed) + 1}:{flag}", **warm()}
        )
        if not flag.exists():
            if wanted <= {*passed}:
                break
            continue  # on a busy machine two events may come at once, and there is a point less
        assert done.code == -9
        passed.append(flag.read_text())
        resumed = finish(job)
        assert (resumed.code, resumed.predictions) == (0, expected(6)), (passed, resumed.err)
        assert batchtwin("verify", job.folder / "job").code == 0
        assert not (job.folder / "job/segments").exists()
        assert (job.folder / "job/logs/job_result.txt").exists() and (job.folder / "job/report.html").exists()
    assert done.code == 0
    record_property("said", f"killed at {len(passed)} points of the parent: {', '.join(passed)}")
    assert wanted <= {*passed}


def test_killed_at_every_point_of_a_worker(job: Project, record_property: Callable[[str, object], None]) -> None:
    passed: list[str] = []
    while True:
        flag = job.folder / f"crash-{len(passed)}"
        done = job.score(
            "--overwrite", "--workers", "1", env={"BATCHTWIN_CRASH_AT": f"worker:{len(passed) + 1}:{flag}", **warm()}
        )
        assert (done.code, done.predictions) == (0, expected(6)), (passed, done.err)
        if not flag.exists():
            break
        passed.append(flag.read_text())
    record_property("note", f"killed at {len(passed)} points of a worker: {', '.join(passed)}")
    assert {"before write", "half written", "written", "reported"} <= {*passed}


def test_random_kills(job: Project, record_property: Callable[[str, object], None]) -> None:
    """Parent or worker, at any time, again and again. The seed is printed; BATCHTWIN_SEED repeats it."""
    seed = int(os.environ.get("BATCHTWIN_SEED", random.SystemRandom().randrange(2**32)))
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    record_property("note", f"random kills: BATCHTWIN_SEED={seed}")
    job.files(30)
    job.settings = {"retry_settings": {"max_retries": 50}}
    spent, kills = 0.0, 0
    words = [str(COMMAND), *map(str, job.words("--overwrite"))]
    while spent < SECONDS:
        with (job.folder / "said").open("w") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        delay = chance.uniform(0.1, 1.5)
        spent += delay
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            kills += kill_one(process, chance)
        if process.poll() is None or process.returncode == 0:
            assert process.wait(DEADLINE) == 0, f"seed {seed}: {(job.folder / 'said').read_text()}"
            assert (job.folder / "job/named-outputs/score/predictions.csv").read_text() == expected(30), f"seed {seed}"
            words = [str(COMMAND), *map(str, job.words("--overwrite"))]
        elif (job.folder / "job/job.sqlite").exists():
            words = [str(COMMAND), "resume", str(job.folder / "job")]
    assert finish(job).predictions == expected(30), f"seed {seed}"
    assert kills


def kill_one(process: subprocess.Popen[bytes], chance: random.Random) -> int:
    """Kill the parent or one of its workers; wait for the end of a parent that was killed."""
    try:
        family = psutil.Process(process.pid)
        victim = chance.choice([family, *family.children()])
        victim.kill()
    except psutil.NoSuchProcess:
        return 0
    if victim.pid == process.pid:
        process.wait(DEADLINE)
    return 1


@pytest.mark.local
@pytest.mark.parametrize("victim", ["none", "worker", "node", "supervisor", "controller"])
def test_nothing_outlives_a_job(job: Project, victim: str) -> None:
    """What a script has started ends with its node, in whatever group and session it is, whoever is killed."""
    job.script = """
        import os, pathlib, subprocess, time
        home = pathlib.Path(os.environ["RUNS"]).parent
        def run(mini_batch):
            if not (home / "started").exists():
                starts = [subprocess.Popen(["sleep", "600"], start_new_session=own).pid for own in (False, True)]
                above = [os.getpid(), os.getppid()]
                (home / "started.new").write_text(" ".join(map(str, starts + above)))
                (home / "started.new").rename(home / "started")
            while not (home / "go").exists():
                time.sleep(0.005)
            return [os.path.basename(path) for path in mini_batch]
    """
    process = subprocess.Popen([COMMAND, *map(str, job.words("--workers", "1"))], stdout=subprocess.DEVNULL)
    wait_for((job.folder / "started").exists)
    *started, worker, node = (psutil.Process(int(pid)) for pid in (job.folder / "started").read_text().split())
    supervisor = node.parent()
    if victim != "none":
        victims = {"worker": worker, "node": node, "supervisor": supervisor, "controller": psutil.Process(process.pid)}
        victims[victim].kill()  # type: ignore[union-attr]
    (job.folder / "go").touch()
    assert process.wait(DEADLINE) == (-9 if victim == "controller" else 0)
    wait_for(lambda: all(is_over(child) for child in started))


@pytest.mark.local
def test_half_a_job_is_not_run_again(job: Project) -> None:
    """Killed at about half, 500 mini-batches cost at most 1.15 times the work of an undisturbed run."""
    job.files(500)
    job.settings = {}
    runs = job.folder / "runs"
    process = job.start()
    wait_for(lambda: runs.exists() and runs.read_text().count("run") >= 200)
    process.kill()
    process.communicate()
    before = runs.read_text().count("run")
    assert 100 < before < 450
    names = sorted(path.name for path in job.inputs.iterdir())
    assert finish(job).predictions == "".join(f"{name} {row}\n" for name in names for row in range(100))
    assert runs.read_text().count("run") <= 1.15 * 500


@pytest.mark.parametrize("cut", [1, 100, 4096])
def test_torn_ledger_and_segments(job: Project, cut: int) -> None:
    """A torn end of the ledger's log is work to be done again; what no ledger knows in a segment does not exist."""
    flag = job.folder / "crash"
    assert job.score(env={"BATCHTWIN_CRASH_AT": f"parent:committed:{flag}"}).code == -9
    log = job.folder / "job/job.sqlite-wal"
    with log.open("r+b") as stream:
        stream.truncate(max(0, log.stat().st_size - cut))
    for segment in (job.folder / "job/segments").iterdir():
        with segment.open("ab") as stream:
            stream.write(b"rows of a zombie\n" * 10)
    assert finish(job).predictions == expected(6)


@pytest.mark.local
def test_a_full_disk(job: Project) -> None:
    """On a small file system: a clear line, and a job that ends once there is room."""
    job.files(40)
    disk = job.folder / "disk"
    disk.mkdir()
    words = " ".join(f"'{word}'" for word in [COMMAND, *job.words()]).replace(str(job.folder / "job"), f"{disk}/job")
    steps = f"""
        mount -t tmpfs -o size=400k tmpfs '{disk}' || exit 90
        head -c 250000 /dev/zero > '{disk}/filler'
        {words} --set settings.mini_batch_size=1; echo "score ended with $?"
        rm '{disk}/filler'; mount -o remount,size=20m '{disk}'
        '{COMMAND}' resume '{disk}/job'; echo "resume ended with $?"
        cp '{disk}/job/named-outputs/score/predictions.csv' '{job.folder}/kept'
    """
    private = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.getuid() else [])]
    job.script = SCRIPT.replace("range(100)", "range(1000)")
    job.write()
    done = subprocess.run([*private, "sh", "-c", steps], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "score ended with 1" in done.stdout, done.stdout + done.stderr
    assert "No space left on device" in done.stderr or "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "resume ended with 0" in done.stdout, done.stderr
    assert Path(job.folder / "kept").read_text().count("\n") == 40_000
