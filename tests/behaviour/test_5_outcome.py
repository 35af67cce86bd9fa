"""Section 5: how a job ends, what it says last, and its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from report_page import Page
from support import COMMAND, DEADLINE, Project, is_over, wait_for

SLOW = """
    import os, pathlib, time
    def run(mini_batch):
        pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], ".busy").touch()
        if not mini_batch[0].endswith("00.txt"):
            time.sleep(600)
        return mini_batch
"""


def start(project: Project) -> subprocess.Popen[str]:
    """Start a job that will not end by itself, and wait until a script runs."""
    project.files(4)
    project.script = SLOW
    words = [str(COMMAND), *map(str, project.words("--workers", "2"))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    busy = project.folder / "job/named-outputs/score/.busy"
    wait_for(lambda: busy.exists() or process.poll() is not None)
    return process


def workers_of(project: Project) -> list[psutil.Process]:
    """The processes whose folder is one of the job's: its workers, whoever started them."""
    scratch = f"{project.folder}/job/scratch/"
    processes = psutil.process_iter(["cwd"])
    return [process for process in processes if (process.info["cwd"] or "").startswith(scratch)]


@pytest.mark.documented("5", "Completed: exit code 0; status, summary line and the path of predictions.csv come last.")
def test_completed(project: Project) -> None:
    project.files(3)
    project.script = "def run(mini_batch): return ['row']"
    done = project.score()
    path = done.output / "named-outputs/score/predictions.csv"
    assert done.code == 0
    assert done.out.splitlines() == [
        "Completed",
        "There are 3 mini batches with 3 items. Processed 3 mini batches containing 3 items, 3 succeeded, 0 failed. "
        "The error threshold is -1.",
        "3 files, 3 rows",
        str(path),
    ]


@pytest.mark.documented("5", "With append_row and no succeeded item at all the job is Failed, exit code 1.")
def test_nothing_succeeded(project: Project) -> None:
    project.files(3)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = "def run(mini_batch): raise ValueError('boom')"
    done = project.score()
    assert done.code == 1
    assert done.out.startswith("Failed\n")
    assert "There is no succeeded mini batch item returned from run(). Please check 'response: run()'" in done.err
    assert "First cause: ValueError: boom (mini batch" in done.err
    assert done.out.rstrip().endswith("failures.jsonl")
    assert not (done.output / "named-outputs/score/predictions.csv").exists()


@pytest.mark.ours("5", "If the threshold was exceeded, that is the cause shown, also with zero successes.")
def test_threshold_is_the_cause(project: Project) -> None:
    project.files(1)
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 1}}
    project.script = "def run(mini_batch): raise ValueError('boom')"
    assert "The number of failed items is 1, which exceeds error threshold 0." in project.score().err


@pytest.mark.ours("5", "The first failure is printed at once, with its file and the end of its traceback.")
def test_first_failure_is_shown(project: Project) -> None:
    project.files(2)
    project.script = "def helper(path):\n    return 1 / 0\ndef run(mini_batch):\n    return [helper(mini_batch[0])]"
    done = project.score("--workers", "1")
    assert "First failure: ZeroDivisionError: division by zero (mini batch 0, " in done.err
    assert 'driver.py", line 2, in helper' in done.err
    assert "batchtwin/scoring" not in done.err


@pytest.mark.ours("5", "A timeout, and a variable that is not set, are told with the key of the YAML to change.")
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("time.sleep(600)", "; raise settings.retry_settings.timeout, or lower settings.mini_batch_size\n"),
        ("os.environ['NOT_SET']", "; the variable NOT_SET is not set: give a default in the script, or add it to "),
    ],
)
def test_what_to_change_is_told(project: Project, line: str, text: str) -> None:
    project.files(2)
    project.settings = {"mini_batch_size": 2, "error_threshold": 0, "retry_settings": {"timeout": 1, "max_retries": 1}}
    project.script = f"import os, time\ndef run(mini_batch):\n    {line}"
    done = project.score()
    assert done.code == 1
    assert done.err.count(text) == 2  # of the first failure, and at the end


@pytest.mark.ours("5", "A message of many lines is shown once, and cut; logs/user/error has all of it.")
def test_message_of_many_lines(project: Project) -> None:
    project.files(2)
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 1}}
    project.script = """
        TABLE = ["a table:", *(f"row {n}" for n in range(100)), "no column x"]
        def deep(path):
            raise ValueError("\\n".join(TABLE))
        def run(mini_batch):
            return [deep(mini_batch[0])]
    """
    done = project.score("--workers", "1")
    lines = done.err.splitlines()
    assert len(lines) < 25
    [first] = [line for line in lines if line.startswith("First failure: ")]
    assert first.startswith("First failure: ValueError: a table: (mini batch ") and first.endswith(", try 1)")
    assert done.err.count("no column x") == done.err.count("row 1\n") == 1 and "row 50" not in done.err
    assert "... (95 lines left out; logs/user/error/node0/process000.txt has them)" in lines
    assert 'driver.py", line 4, in deep' in done.err and 'driver.py", line 6, in run' in done.err
    [cause] = [line for line in lines if line.startswith("First cause: ")]
    assert cause.startswith("First cause: ValueError: a table: (mini batch ")
    assert cause.endswith("... (see the first failure above)")
    assert "row 50" in done.log("user/error/node0/process000.txt") and "row 50" in done.log("job_result.txt")


@pytest.mark.ours("5", "The script's own line is shown where the end of the traceback lies in a library.")
def test_line_of_the_script(project: Project) -> None:
    project.files(1)
    project.script = """
        import json, re
        def run(mini_batch):
            nested = "(" * 50 + ")" * 49
            return [re.compile(nested)]
    """
    done = project.score("--workers", "1")
    assert f"In the script at {project.folder}/code/driver.py:5" in done.err.splitlines()


@pytest.mark.on_ray
@pytest.mark.ours("5", "SIGINT and SIGTERM cancel in order: workers end, what is done stays, exit code 130.")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_cancels(project: Project, number: signal.Signals) -> None:
    process = start(project)
    workers = workers_of(project)
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, err
    assert out.startswith("Canceled\n")
    assert workers
    wait_for(lambda: not any(worker.is_running() for worker in workers))
    assert list((project.folder / "job/segments").glob("*.segment"))


@pytest.mark.on_ray
@pytest.mark.ours("5", "When the parent is killed, its workers end.")
def test_workers_die_with_the_parent(project: Project) -> None:
    process = start(project)
    workers = workers_of(project)
    assert workers
    process.kill()
    process.communicate(timeout=DEADLINE)
    wait_for(lambda: all(is_over(worker) for worker in workers))


@pytest.mark.on_ray
@pytest.mark.ours("5", "A worker that is killed from outside is replaced, and its mini-batch tried again.")
def test_killed_worker_is_replaced(project: Project) -> None:
    project.files(4)
    project.script = """
        import os, pathlib, time
        def run(mini_batch):
            me = pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], "." + os.path.basename(mini_batch[0]))
            if mini_batch[0].endswith("01.txt") and not me.exists():
                me.write_text(str(os.getpid()))
                time.sleep(600)
            return [os.path.basename(mini_batch[0])]
    """
    words = [str(COMMAND), *map(str, project.words("--workers", "2"))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    mark = project.folder / "job/named-outputs/score/.01.txt"
    wait_for(lambda: (mark.exists() and bool(mark.read_text())) or process.poll() is not None)
    os.kill(int(mark.read_text()), signal.SIGKILL)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    assert Path(out.splitlines()[-1]).read_text() == "00.txt\n01.txt\n02.txt\n03.txt\n"
    assert "exits with returncode -9." in err


@pytest.mark.ours("5", "A second signal ends everything at once, exit code 130 too.")
def test_second_signal_kills(project: Project) -> None:
    project.files(2)
    project.script = """
        import os, pathlib, time
        score = pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"])
        def run(mini_batch):
            (score / ("." + os.path.basename(mini_batch[0]))).touch()
            if mini_batch[0].endswith("00.txt"):
                time.sleep(600)
            return mini_batch
        def shutdown():
            (score / ".shutdown").touch()
            time.sleep(600)
    """
    words = [str(COMMAND), *map(str, project.words("--workers", "2"))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    score = project.folder / "job/named-outputs/score"
    wait_for(lambda: all((score / name).exists() for name in (".00.txt", ".01.txt")) or process.poll() is not None)
    workers = workers_of(project)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: (score / ".shutdown").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (130, "")
    wait_for(lambda: all(is_over(worker) for worker in workers))


@pytest.mark.on_ray
@pytest.mark.ours("5", "The verdict on error_threshold is the same for any number of workers.")
def test_verdict_does_not_depend_on_timing(project: Project) -> None:
    project.files(8)
    project.settings = {"error_threshold": 1, "retry_settings": {"max_retries": 2}}
    project.script = "def run(mini_batch):\n    if mini_batch[0][-5] in '27': raise ValueError\n    return mini_batch"
    verdicts = [project.score("--overwrite", "--workers", workers) for workers in ("1", "2", "8")]
    assert {verdict.code for verdict in verdicts} == {1}
    assert all("which exceeds error threshold 1." in verdict.err for verdict in verdicts)


@pytest.mark.ours(
    "5",
    "A completed job with failed files says why the first one failed, in one line, where all are, and what runs them "
    "again.",
)
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def run(mini_batch): return mini_batch[:1]", "run() returned 1 results for 2 files; return one per file"),
        (
            "def run(paths):\n    if paths[0].endswith('00.txt'): raise ValueError('no\\ngood')\n    return paths",
            "no good",
        ),
    ],
)
def test_why_files_failed(project: Project, script: str, reason: str) -> None:
    project.files(4)
    project.settings = {"mini_batch_size": 2, "retry_settings": {"max_retries": 1}}
    project.script = script
    done = project.score("--workers", "1")
    assert done.code == 0 and done.out.startswith("Completed\n")
    [line] = [line for line in done.err.splitlines() if " failed, the first by: " in line]
    assert line.startswith("2 files failed") and reason in line and "00.txt" in line
    assert ("00.txt or one of 1 more)" in line) == (reason == "no good"), "which of the two, nobody knows"
    assert line.endswith(f"see {done.output / 'failures.jsonl'}")
    assert f"\n`batchtwin resume {done.output} --retry-failed` runs the " in done.err


@pytest.mark.ours(
    "5",
    "Of several files of a mini-batch, the one is named that run() was at when it raised, if its variables show it.",
)
def test_the_file_that_a_script_was_at(project: Project) -> None:
    project.files(4)
    project.settings = {"mini_batch_size": 4, "retry_settings": {"max_retries": 1}}
    project.script = """
        def run(mini_batch):
            for path in mini_batch:
                number = int(open(path).read())
                1 / (2 - number)
            return mini_batch
    """
    done = project.score("--workers", "1")
    at = f"while at {project.inputs / '02.txt'}, the value of `path` in run(), line 5 of driver.py"
    assert done.code == 1
    assert done.err.startswith(f"First failure: ZeroDivisionError: division by zero (mini batch 0, {at}, try 1)\n")
    assert [record["at"] for record in done.failures] == [str(project.inputs / "02.txt")] * 4
    assert str(project.inputs / "02.txt") in Page.read(done.output).words
