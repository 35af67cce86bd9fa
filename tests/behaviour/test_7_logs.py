"""Section 7: the log tree."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchtwin.engine.logs import status_of
from batchtwin_node.protocol import INIT_TIMEOUT, Failure
from support import Finished, Project, batchtwin


@pytest.fixture
def done(project: Project) -> Finished:
    """A job of five mini-batches, one of which fails for good."""
    project.files(10)
    project.settings = {"mini_batch_size": 2, "retry_settings": {"max_retries": 2}}
    project.script = """
        from azureml_user.parallel_run import EntryScript
        def run(mini_batch):
            EntryScript().logger.info("scoring %d files", len(mini_batch))
            EntryScript().logger.debug("not at this level")
            if mini_batch[0].endswith("04.txt"):
                raise ValueError("no good")
            return mini_batch
    """
    finished = project.score()
    assert finished.code == 0, finished.err
    return finished


@pytest.mark.documented(
    "7", "job_progress_overview tells, with UTC times, what was scheduled and that all was processed."
)
def test_progress_overview(done: Finished) -> None:
    lines = done.log("job_progress_overview.*.txt").splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 "
    assert re.fullmatch(
        stamp + r"Scheduling finished\. Scheduled 5 mini batches with 10 items in \d+\.\d+ seconds\.", lines[0]
    )
    assert re.fullmatch(stamp + r"All 5 mini batches have been processed\.", lines[-1])


@pytest.mark.documented("7", "job_result.txt holds status, summary line and cause.")
def test_job_result(done: Finished) -> None:
    status, summary = done.log("job_result.txt").splitlines()
    assert status == "Completed"
    assert summary.endswith("8 succeeded, 2 failed. The error threshold is -1.")


@pytest.mark.documented("7", "user/error.txt has one line per distinct error, with its count and first file.")
def test_error_digest(done: Finished) -> None:
    [line] = done.log("user/error.txt").splitlines()
    assert re.fullmatch(r"2 x ValueError: no good \(first: .*/04\.txt\)", line)


@pytest.mark.documented("7", "user/error/<node>/<process>.txt holds full tracebacks.")
def test_tracebacks(done: Finished) -> None:
    text = done.log("user/error/node0/*.txt")
    assert text.count("Traceback (most recent call last):") == 2
    assert 'driver.py", line' in text


@pytest.mark.documented("7", "EntryScript().logger writes to user/entry_script_log, at the deployment's logging_level.")
def test_entry_script_log(done: Finished) -> None:
    lines = done.log("user/entry_script_log/node0/process*.log.txt").splitlines()
    assert len(lines) == 6
    assert all(line.endswith("scoring 2 files") for line in lines)


@pytest.mark.on_ray
@pytest.mark.documented("7", "sys/node/<node>/<process>.txt says what each worker did: pid, items, times.")
def test_node_log(done: Finished) -> None:
    text = done.log("sys/node/node0/process*.txt")
    assert (
        len(re.findall(r"mini batch \d, try 1, pid \d+: 2 items, 2 succeeded, 0 failed, started .*, run\(\)", text))
        == 4
    )
    assert len(re.findall(r"mini batch 2, try [12], pid \d+: raised, .*: ValueError: no good", text)) == 2


Types = dict[str, Callable[[str], Any]]


def table(path: Path, types: Types) -> list[dict[str, Any]]:
    """The rows of a table as a monitor of the service's engine reads them: `N/A` is None, other cells have types."""
    with path.open(newline="") as stream:
        rows: list[dict[str, Any]] = list(csv.DictReader(stream))
    return [{name: None if text == "N/A" else types.get(name, str)(text) for name, text in row.items()} for row in rows]


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC)


def clock(text: str) -> timedelta:
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


NUMBERS: Types = dict.fromkeys(("Mini-batch Id", "Picked Count", "Total", "Succeeded", "Failed"), int)
SECONDS: Types = dict.fromkeys(("Elapsed Seconds", "Process Seconds", "Run Method Seconds"), float)
TASKS: Types = dict.fromkeys(("Total Tasks", "Scheduled Tasks", "Completed Tasks", "Failed Tasks"), int)


def tries(done: Finished) -> list[dict[str, Any]]:
    path = done.output / "logs/sys/job_report/processed_mini-batches.csv"
    return table(path, {**NUMBERS, **SECONDS, "Process Start Time": moment})


def progress(done: Finished) -> list[list[dict[str, Any]]]:
    """The table of each run of a job, in the order of their folders' names."""
    types = {**TASKS, "Datetime": moment, "Elapsed Time": clock, "Estimated Remaining Time": clock}
    return [table(path, types) for path in sorted((done.output / "logs/sys/metrics").glob("*/progress.csv"))]


@pytest.mark.on_ray
@pytest.mark.documented(
    "7", "sys/job_report/processed_mini-batches.csv has one row per try; times are UTC, empty cells are N/A."
)
def test_job_report(done: Finished) -> None:
    rows = tries(done)
    assert sorted((row["Mini-batch Id"], row["Picked Count"]) for row in rows) == [
        *((0, 1), (1, 1), (2, 1), (2, 2), (3, 1), (4, 1))
    ]
    for bad in (row for row in rows if row["Mini-batch Id"] == 2):
        assert (bad["Total"], bad["Succeeded"], bad["Failed"], bad["Status"]) == (2, 0, 2, "RUN_EXCEPTION")
        assert (bad["Error Category"], bad["Error Message"]) == ("raised", "ValueError: no good")
        assert bad["Mini-batch Detail"] == "04.txt 05.txt"
    [good] = [row for row in rows if row["Mini-batch Id"] == 0]
    assert (good["Status"], good["Succeeded"], good["Process"][:12]) == ("RUN_DONE", 2, "node0/proces")
    assert (good["Error Category"], good["Error Message"]) == (None, None)
    assert 0 <= good["Run Method Seconds"] <= good["Process Seconds"]
    assert abs(datetime.now(UTC) - good["Process Start Time"]) < timedelta(hours=1)


@pytest.mark.observed("7", "In that table a try that takes too long is RUN_TIMEOUT, other failures are RUN_EXCEPTION.")
def test_status_of_run(project: Project) -> None:
    project.files(2)
    project.settings = {"retry_settings": {"max_retries": 1, "timeout": 1}}
    project.script = """
        import os, time
        def run(mini_batch):
            if mini_batch[0].endswith("00.txt"):
                time.sleep(600)
            os._exit(3)
    """
    done = project.score("--workers", "1")
    assert [(row["Mini-batch Id"], row["Status"]) for row in tries(done)] == [(0, "RUN_TIMEOUT"), (1, "RUN_EXCEPTION")]


@pytest.mark.observed("7", "In that table a worker that did not start is INIT_EXCEPTION, of no mini-batch.")
def test_status_of_init(project: Project) -> None:
    project.files(1)
    project.script = "def init(): raise ValueError('init() did not finish in time')\ndef run(mini_batch): return []"
    rows = tries(project.score("--workers", "1"))
    assert {(row["Mini-batch Id"], row["Total"], row["Status"]) for row in rows} == {(None, None, "INIT_EXCEPTION")}


@pytest.mark.observed("7", "In that table an init() that takes too long is INIT_TIMEOUT.")
def test_status_of_slow_init() -> None:
    # As a node tells it: no test waits for the 33 seconds that are the shortest budget.
    late = Failure(worker="node0/p", kind="init", message=f"{INIT_TIMEOUT} 33 seconds.", pid=1, started=0.0)
    assert status_of(late) == "INIT_TIMEOUT"


@pytest.mark.on_ray
@pytest.mark.documented(
    "7", "sys/metrics/<UTC time>/progress.csv has counts and times, the folder of the latest run sorts last."
)
def test_progress_table(done: Finished) -> None:
    [rows] = progress(done)
    assert list(rows[0]) == [
        *("Datetime", *TASKS, "Elapsed Time", "Estimated Remaining Time"),
    ]
    first, last = rows[0], rows[-1]
    assert [first[name] for name in TASKS] == [5, 5, 0, 0]
    assert first["Estimated Remaining Time"] is None
    assert [last[name] for name in TASKS] == [5, 5, 5, 1]
    assert last["Estimated Remaining Time"] == timedelta()
    assert [row["Datetime"] for row in rows] == sorted(row["Datetime"] for row in rows)
    again = batchtwin("resume", done.output, "--retry-failed")
    assert again.code == 0, again.err
    [_, rows] = progress(done)
    assert [rows[0][name] for name in TASKS] == [5, 5, 4, 0]


@pytest.mark.ours("7", "user/error.txt counts the tries of all runs of a job, also of one that was killed.")
def test_error_digest_of_all_runs(project: Project) -> None:
    project.files(3)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = """
        def run(mini_batch):
            raise ValueError("no good: " + mini_batch[0][-6:])
    """
    killed = project.score("--workers", "1", env={"BATCHTWIN_CRASH_AT": f"parent:committed:{project.folder / 'crash'}"})
    assert killed.code == -9, killed.err
    for words in ((), ("--retry-failed",), ("--retry-failed",)):
        batchtwin("resume", project.folder / "job", *words)
    assert sorted(line.partition(" (")[0] for line in killed.log("user/error.txt").splitlines()) == [
        f"3 x ValueError: no good: {name}.txt" for name in ("00", "01", "02")
    ]


@pytest.mark.on_ray
@pytest.mark.documented("7", "perf/<node>/ holds samples of CPU and memory, of the node and of each process.")
def test_usage(done: Finished) -> None:
    node = done.log("perf/node0/node_resource_usage.csv").splitlines()
    assert node[0] == "time,cpu_percent,memory_used_bytes,memory_total_bytes"
    assert len(node) > 1
    processes = done.log("perf/node0/processes_resource_usage.csv").splitlines()
    assert processes[0] == "time,process,pid,cpu_percent,memory_rss_bytes"
    assert len(processes) > 1


@pytest.mark.ours("7", "readme.txt explains the folder.")
def test_readme(done: Finished) -> None:
    assert "user/error.txt" in done.log("readme.txt")


@pytest.mark.ours("7", "Errors of a script are shown and logged without passwords and keys of URLs and of variables.")
def test_secrets(project: Project) -> None:
    project.files(1)
    project.settings = {"error_threshold": 0, "environment_variables": {"SERVICE_TOKEN": "aTokenOfMine"}}
    project.script = """
        import os
        def run(mini_batch):
            raise ValueError("https://me:pw1@host/x?sig=pw2&y=1 refused " + os.environ["SERVICE_TOKEN"])
    """
    done = project.score()
    assert (done.code, "ValueError: https://host/x?sig=***&y=1 refused ***" in done.err) == (1, True)
    texts = [done.out, done.err, *(path.read_text() for path in (done.output / "logs").rglob("*.txt"))]
    texts += [path.read_text() for path in (done.output / "report.html", done.output / "failures.jsonl")]
    assert not [text for text in texts if "pw1" in text or "pw2" in text or "aTokenOfMine" in text]
