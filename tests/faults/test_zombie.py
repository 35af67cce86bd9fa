"""Who was given up for dead may still write, and say so: rows are in the output once, and are the right ones."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support import COMMAND, DEADLINE, Finished, Project, batchtwin, is_over, wait_for

# What a process that shares the worker's descriptors can reach.
REACH = """
    import fcntl, json, os, pathlib, time, zlib
    home = pathlib.Path(os.environ["ZOMBIE"])
    def held(kind):
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd > 2 and kind in os.path.realpath(f"/proc/self/fd/{fd}"):
                if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                    return fd
    def rows(number):
        return [f"{number:02}.txt {row}" for row in range(100)]
    def outcome(number, segment, offset):
        data = "".join(f"{row}\\n" for row in rows(number)).encode()
        return data, json.dumps({
            "type": "outcome", "mini_batch": number, "attempt": 1, "worker": "node0/process000",
            "segment": os.path.basename(os.path.realpath(f"/proc/self/fd/{segment}")), "offset": offset,
            "length": len(data), "crc": zlib.crc32(data), "rows": 100, "succeeded": 1, "failed": 0,
            "pid": os.getpid(), "started": time.time(), "seconds": 1, "run_seconds": 1,
        }).encode() + b"\\n"
    def number_of(mini_batch):
        return int(os.path.basename(mini_batch[0])[:2])
"""
# The child in a session of its own outlives its worker. Once 01.txt is tried again, it ends it as the worker would
# have, then writes without end; that try and every later mini-batch wait until they have seen it write.
ZOMBIE = (
    REACH
    + """
    def zombie(worker):
        os.setsid()
        segment, events = held(".segment"), held("pipe:")
        # Only now is it no process of the worker's group, which is killed with the worker.
        (home / "pid.new").write_text(str(os.getpid()))
        (home / "pid.new").rename(home / "pid")
        while os.getppid() == worker or not (home / "again").exists():
            if (home / "end").exists():
                return
            time.sleep(0.001)
        data, line = outcome(1, segment, os.lseek(segment, 0, os.SEEK_CUR))
        os.write(segment, data)
        try:
            os.write(events, line)
        except BrokenPipeError:
            pass
        while not (home / "end").exists():
            os.write(segment, b"01.txt of a zombie\\n")
            with open(home / "written", "a") as written:
                written.write(".")
            time.sleep(0.001)
    def written():
        return (home / "written").stat().st_size if (home / "written").exists() else 0
    def run(mini_batch):
        number = number_of(mini_batch)
        if number == 1 and not (home / "pid").exists():
            worker = os.getpid()
            (home / "node").write_text(str(os.getppid()))
            child = os.fork()
            if not child:
                try:
                    zombie(worker)
                finally:
                    os._exit(0)
            time.sleep(600)
        if number == 1:
            (home / "again").touch()
        if number:
            before = written()
            while written() < before + 5:
                time.sleep(0.001)
        return rows(number)
"""
)
EXPECTED = "".join(f"{number:02}.txt {row}\n" for number in range(5) for row in range(100))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a zombie says who it is; it is told to end there, and does."""
    folder = tmp_path / "zombie"
    folder.mkdir()
    monkeypatch.setenv("ZOMBIE", str(folder))
    yield folder
    (folder / "end").touch()
    if (folder / "pid").exists():
        pid = int((folder / "pid").read_text())
        wait_for(lambda: is_over(pid))


@pytest.fixture
def job(project: Project, home: Path) -> Project:
    """A project with five files, and a second for each."""
    project.files(5)
    project.settings = {"retry_settings": {"timeout": 1}}
    return project


def assert_whole(done: Finished) -> None:
    assert done.code == 0, done.err
    assert done.predictions == EXPECTED
    assert "Traceback" not in done.err
    assert done.failures == []
    assert batchtwin("verify", done.output).code == 0


@pytest.mark.on_ray
def test_what_a_zombie_writes_does_not_exist(job: Project, home: Path) -> None:
    job.script = ZOMBIE
    done = job.score("--workers", "1")
    assert (home / "written").stat().st_size >= 20, "the zombie wrote while the others worked"
    assert "mini batch 1 did not finish in 1 seconds." in done.log("user/error/*/*.txt")
    assert_whole(done)


@pytest.mark.on_ray
def test_a_zombie_of_a_killed_job_does_not_disturb_the_next_run(job: Project, home: Path) -> None:
    """Neither does it hold the lock."""
    job.script = ZOMBIE
    words = [str(COMMAND), *map(str, job.words())]
    parent = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: (home / "pid").exists() or parent.poll() is not None)
    # Only where the node and its supervisor are killed at once does anything outlive them.
    parent.send_signal(signal.SIGSTOP)
    node = psutil.Process(int((home / "node").read_text()))
    supervisor = node.parent()
    assert supervisor is not None
    supervisor.suspend()
    node.kill()
    supervisor.kill()
    parent.kill()
    parent.wait(DEADLINE)
    done = batchtwin("resume", job.folder / "job")
    assert (home / "written").stat().st_size >= 20
    assert_whole(Finished(done.code, done.out, done.err, job.folder / "job"))


@pytest.mark.parametrize(
    ("line", "hangs"),
    [
        ("outcome(0, held('.segment'), 0)[1]", False),
        ("outcome(0, held('.segment'), 0)[1]", True),
        ("b'not an event\\n'", False),
        ("b'half an event'", False),
    ],
    ids=["twice", "twice, then hangs", "no event", "torn, and with it the next"],
)
def test_an_event_that_does_not_concern_what_the_worker_runs_changes_nothing(
    job: Project, line: str, hangs: bool
) -> None:
    """A child that holds the event pipe says something; what the worker runs is still its own."""
    job.script = (
        REACH
        + f"""
    def run(mini_batch):
        number = number_of(mini_batch)
        if number == 1 and not (home / "said").exists():
            (home / "said").touch()
            os.write(held("pipe:"), {line})
            time.sleep({600 if hangs else 0})
        return rows(number)
"""
    )
    assert_whole(job.score("--workers", "1"))


def test_a_child_that_comes_back_from_init_is_no_second_worker(job: Project) -> None:
    job.settings = {"retry_settings": {"timeout": 5}}
    job.script = REACH + "    def init(): os.fork()\n    def run(mini_batch): return rows(number_of(mini_batch))"
    done = job.score()
    assert done.log("user/error/*/*.txt") == "", "no mini-batch was taken by a child"
    assert_whole(done)


def test_a_parent_that_was_suspended_does_not_blame_its_workers(job: Project, home: Path) -> None:
    """As a laptop is: the deadline has passed when it wakes, but the mini-batch had ended before."""
    job.settings = {"retry_settings": {"timeout": 2}}
    job.script = (
        REACH
        + """
    def run(mini_batch):
        (home / "busy").touch()
        while not (home / "go").exists():
            time.sleep(0.001)
        return rows(number_of(mini_batch))
"""
    )
    words = [str(COMMAND), *map(str, job.words("--workers", "1"))]
    parent = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: (home / "busy").exists() or parent.poll() is not None)
    began = time.monotonic()
    parent.send_signal(signal.SIGSTOP)
    (home / "go").touch()
    [segment] = (job.folder / "job/segments").iterdir()
    wait_for(lambda: segment.stat().st_size > 0 and time.monotonic() > began + 2.5)
    parent.send_signal(signal.SIGCONT)
    done = Finished(parent.wait(DEADLINE), "", "", job.folder / "job")
    assert done.log("user/error/*/*.txt") == ""
    assert_whole(done)
