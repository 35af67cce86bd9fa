"""Section 4: counting, retries, time, crashes."""

from __future__ import annotations

import pytest

from support import Project, is_over

ONE_OF_TEN = """
    import os, sys, time
    def run(mini_batch):
        name = os.path.basename(mini_batch[0])
        if name == "03.txt":
            {bad}
        return [name]
"""
NINE = "".join(f"{number:02}.txt\n" for number in range(10) if number != 3)
TIMEOUT = {"retry_settings": {"timeout": 2, "max_retries": 3}}


@pytest.mark.documented(
    "4", "Succeeded items are min(len(result), items); shorter results count as failed items, no retry."
)
@pytest.mark.parametrize(("returned", "succeeded", "failed"), [(0, 0, 4), (3, 3, 1), (4, 4, 0), (9, 4, 0)])
def test_items_are_counted_by_length(project: Project, returned: int, succeeded: int, failed: int) -> None:
    project.files(5)
    project.settings = {"mini_batch_size": 4}
    project.script = f"def run(mini_batch): return list(range({returned} if len(mini_batch) == 4 else 1))"
    done = project.score()
    assert done.code == 0, done.err
    assert f"{succeeded + 1} succeeded, {failed} failed." in done.out
    assert done.predictions == "".join(f"{number}\n" for number in [*range(returned), 0])


@pytest.mark.ours("4", "A shortfall is one object in failures.jsonl, with the files and how many failed.")
def test_shortfall_is_listed(project: Project) -> None:
    files = project.files(3)
    project.settings = {"mini_batch_size": 3}
    project.script = "def run(mini_batch): return ['only one']"
    [record] = project.score().failures
    assert record["kind"] == "shortfall"
    assert record["failed"] == 2
    assert record["files"] == [str(file) for file in files]


@pytest.mark.on_ray
@pytest.mark.documented(
    "4", "A failed try is tried again, max_retries tries in all; out of tries, its items are failed."
)
@pytest.mark.parametrize(
    ("bad", "kind", "text"),
    [
        ("raise ValueError('boom')", "raised", "ValueError: boom"),
        ("raise SystemExit(42)", "raised", "SystemExit: 42"),
        ("return None", "wrong_type", "The actual type of output is NoneType."),
        ("return (x for x in mini_batch)", "wrong_type", "The actual type of output is generator."),
        ("os.kill(os.getpid(), 9)", "crashed", "exits with returncode -9."),
        ("os._exit(7)", "crashed", "exits with returncode 7."),
    ],
)
def test_failed_try_is_tried_again(project: Project, bad: str, kind: str, text: str) -> None:
    project.files(10)
    project.settings = {"retry_settings": {"max_retries": 3}}
    project.script = ONE_OF_TEN.format(bad=bad)
    done = project.score()
    assert done.code == 0, done.err
    assert done.predictions == NINE
    [record] = done.failures
    assert (record["kind"], record["attempts"], record["mini_batch"]) == (kind, 3, 3)
    assert record["file"].endswith("03.txt")
    assert text in record["message"]
    assert text in done.err, "the first failure is printed at once"
    assert done.log("user/error/*/*.txt").count("mini batch 3, try ") == 3


@pytest.mark.on_ray
@pytest.mark.documented("4", "On timeout the process is killed, C code included, and the mini-batch is tried again.")
@pytest.mark.parametrize("bad", ["time.sleep(600)", "while True: pass", "sum(range(10**12))"])
def test_timeout_kills(project: Project, bad: str) -> None:
    project.files(10)
    project.settings = {"retry_settings": {"timeout": 1, "max_retries": 3}}
    project.script = ONE_OF_TEN.format(bad=bad)
    done = project.score()
    assert done.code == 0, done.err
    assert done.predictions == NINE
    assert done.log("user/error/*/*.txt").count("mini batch 3 did not finish in 1 seconds.") == 3
    [record] = done.failures
    assert (record["kind"], record["attempts"]) == ("timeout", 3)


@pytest.mark.documented("4", "More failed items than error_threshold fail the job; -1 ignores all.")
@pytest.mark.parametrize(("threshold", "code"), [(-1, 0), (0, 1), (1, 1), (2, 0)])
def test_error_threshold(project: Project, threshold: int, code: int) -> None:
    project.files(6)
    project.settings = {"error_threshold": threshold, "retry_settings": {"max_retries": 1}}
    project.script = """
        def run(mini_batch):
            if mini_batch[0][-5] in "13":
                raise ValueError("boom")
            return mini_batch
    """
    done = project.score()
    assert done.code == code
    if code:
        assert f"which exceeds error threshold {threshold}." in done.err
        assert not (done.output / "named-outputs/score/predictions.csv").exists()


@pytest.mark.observed("4", "Total tries are max(1, max_retries): 0 and 1 both mean one try.")
@pytest.mark.parametrize(("max_retries", "tries"), [(0, 1), (1, 1), (2, 2)])
def test_total_tries(project: Project, max_retries: int, tries: int) -> None:
    project.files(2)
    project.settings = {"retry_settings": {"max_retries": max_retries}}
    project.script = (
        "def run(mini_batch):\n    if mini_batch[0].endswith('00.txt'): raise ValueError\n    return mini_batch"
    )
    assert project.score().failures[0]["attempts"] == tries


@pytest.mark.ours("4", "A try that fails and later succeeds leaves no trace in the output or in failures.jsonl.")
def test_retry_that_succeeds(project: Project) -> None:
    project.files(3)
    project.script = """
        import os, pathlib
        def run(mini_batch):
            seen = pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], ".seen")
            if mini_batch[0].endswith("01.txt") and not seen.exists():
                seen.touch()
                os.kill(os.getpid(), 9)
            return mini_batch
    """
    done = project.score()
    assert done.code == 0, done.err
    assert done.predictions.count("\n") == 3
    assert done.failures == []


@pytest.mark.on_ray
@pytest.mark.documented("4", "A worker that failed more than 10 mini-batches is replaced; init() runs again.")
def test_worn_out_worker_is_replaced(project: Project) -> None:
    project.files(14)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = """
        import os
        def init():
            global born
            born = os.getpid()
        def run(mini_batch):
            if mini_batch[0][-6:-4] < "11":
                raise ValueError("boom")
            return [born]
    """
    done = project.score("--workers", "1")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (done.output / "logs/user/stdout/node0").iterdir()) == [
        "process000.stdout.txt",
        "process001.stdout.txt",
    ]
    assert "3 succeeded, 11 failed" in done.out


@pytest.mark.ours("4", "A worker that runs out of memory fails its try; the job goes on.")
def test_out_of_memory(project: Project) -> None:
    project.files(10)
    project.settings = {"retry_settings": {"max_retries": 2}}
    project.script = ONE_OF_TEN.format(bad="return [bytearray(2**62)]")
    done = project.score()
    assert done.code == 0, done.err
    assert done.predictions == NINE
    assert [record["message"] for record in done.failures] == ["MemoryError"]


@pytest.mark.ours("4", "A child that a script forks does not go on as a second worker.")
def test_bare_fork(project: Project) -> None:
    project.files(6)
    project.script = """
        import os
        def run(mini_batch):
            os.fork()
            return [os.path.basename(mini_batch[0])]
    """
    done = project.score()
    assert done.code == 0, done.err
    assert done.predictions == "".join(f"{number:02}.txt\n" for number in range(6))


@pytest.mark.on_ray
@pytest.mark.ours("4", "A write that fails is the job's failure, never an item's.")
def test_failed_write(project: Project) -> None:
    project.files(3)
    project.script = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def run(mini_batch):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            return ["x" * 5000]
    """
    done = project.score("--workers", "1")
    assert done.code == 1
    assert "File too large" in done.err
    assert not (done.output / "named-outputs/score/predictions.csv").exists()


@pytest.mark.ours("4", "A script may fork, and start processes of its own; hanging ones die with the worker.")
def test_script_may_fork(project: Project) -> None:
    project.files(4)
    project.settings = {"retry_settings": {"timeout": 5, "max_retries": 1}}
    project.script = """
        import multiprocessing, os, pathlib, subprocess
        def square(x):
            return x * x
        def run(mini_batch):
            if mini_batch[0].endswith("02.txt"):
                child = subprocess.Popen(["sleep", "600"])
                pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], ".child").write_text(str(child.pid))
                child.wait()
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return [sum(pool.map(square, range(4)))]
    """
    done = project.score()
    assert done.code == 0, done.err
    assert done.predictions == "14\n14\n14\n"
    child = int((done.output / "named-outputs/score/.child").read_text())
    assert is_over(child)
