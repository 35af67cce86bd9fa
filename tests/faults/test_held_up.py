"""What a script does to its process holds up neither the node nor the job."""

from __future__ import annotations

import time

import pytest

from support import Project

# Longer than a pipe holds, as a task: 2000 files with names of 200 characters.
FILES, NAME = 2000, 200


def test_a_worker_that_does_not_read_its_long_task(project: Project) -> None:
    """It is stopped between two mini-batches: that one runs out of time, and the other worker works on."""
    for number in range(2 * FILES):
        (project.inputs / f"{number:05}{'x' * NAME}.txt").write_text("a")
    project.settings = {"mini_batch_size": FILES, "retry_settings": {"timeout": 5}}
    project.script = """
        import os, pathlib, signal
        from batchtwin_node import worker
        once = pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], ".once")
        report = worker.Worker.report
        def stop_after(self, event):
            report(self, event)
            if type(event).__name__ == "Outcome" and not once.exists():
                once.touch()
                os.kill(os.getpid(), signal.SIGSTOP)
        worker.Worker.report = stop_after
        def run(mini_batch):
            return [os.path.basename(path)[:5] for path in mini_batch]
    """
    done = project.score("--workers", "1")
    assert (done.code, done.predictions) == (0, "".join(f"{number:05}\n" for number in range(2 * FILES))), done.err
    assert "mini batch 1 did not finish in 5 seconds." in done.log("user/error/*/*.txt")


@pytest.mark.parametrize("text", ["'x' * (60 << 20)", "'a line\\n' * (8 << 20)"], ids=["one line", "many lines"])
def test_a_message_of_60_mb(project: Project, text: str) -> None:
    """A head and a tail of it are kept, once in full; the copies of the other files are short."""
    project.files(50)
    project.settings = {"mini_batch_size": 25, "retry_settings": {"max_retries": 1}}
    project.script = f"""
        import os
        def run(mini_batch):
            if mini_batch[0].endswith("00.txt"):
                raise ValueError({text})
            return [os.path.basename(path) for path in mini_batch]
    """
    began = time.monotonic()
    done = project.score()
    assert done.code == 0, done.err
    assert time.monotonic() - began < 60
    assert len(done.failures) == 25
    first, *others = (len(record["message"]) for record in done.failures)
    assert 10_000 < first < 20_000 and max(others) < 600
    assert "characters left out" in done.failures[0]["message"]
    assert len(done.err) < 20_000 and len(done.log("user/error.txt")) + len(done.log("user/error/*/*.txt")) < 100_000


def test_the_node_reaps_what_scripts_leave_behind(project: Project) -> None:
    """Orphans that have ended are no zombies, which count for the limit of processes."""
    project.files(6)
    project.script = """
        import os, time
        def children_of(parent):
            for entry in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{entry}/stat") as stat:
                        state, above = stat.read().rpartition(")")[2].split()[:2]
                except OSError:
                    continue
                if int(above) == parent:
                    yield state
        def run(mini_batch):
            for _ in range(50):
                child = os.fork()
                if not child:
                    if os.fork():
                        os._exit(0)
                    time.sleep(0.01)
                    os._exit(0)
                os.waitpid(child, 0)
            until = time.monotonic() + 20
            while (zombies := list(children_of(os.getppid())).count("Z")) and time.monotonic() < until:
                time.sleep(0.01)
            return [zombies]
    """
    done = project.score("--workers", "1")
    assert (done.code, done.predictions) == (0, "0\n" * 6), done.err
