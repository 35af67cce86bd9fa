"""Section 7: the log tree."""

from __future__ import annotations

import csv
import re

import pytest

from support import Finished, Project


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


@pytest.mark.on_ray
@pytest.mark.documented("7", "sys/job_report/processed_mini-batches.csv has one line per mini-batch that ended.")
def test_job_report(done: Finished) -> None:
    with (done.output / "logs/sys/job_report/processed_mini-batches.csv").open(newline="") as stream:
        rows = {row["Mini-batch Id"]: row for row in csv.DictReader(stream)}
    assert sorted(rows) == ["0", "1", "2", "3", "4"]
    bad = rows["2"]
    assert (bad["Picked Count"], bad["Total"], bad["Succeeded"], bad["Failed"]) == ("2", "2", "0", "2")
    assert (bad["Status"], bad["Error Category"], bad["Error Message"]) == ("Failed", "raised", "ValueError: no good")
    assert bad["Mini-batch Detail"] == "04.txt 05.txt"
    good = rows["0"]
    assert (good["Status"], good["Succeeded"], good["Process"][:12]) == ("Succeeded", "2", "node0/proces")
    assert 0 <= float(good["Run Method Seconds"]) <= float(good["Process Seconds"])


@pytest.mark.on_ray
@pytest.mark.documented("7", "perf/<node>/ holds samples of CPU and memory, of the node and of each process.")
def test_usage(done: Finished) -> None:
    node = done.log("perf/node0/node_resource_usage.csv").splitlines()
    assert node[0] == "time,cpu_percent,memory_used_bytes,memory_total_bytes"
    assert len(node) > 1
    processes = done.log("perf/node0/processes_resource_usage.csv").splitlines()
    assert processes[0] == "time,process,pid,cpu_percent,memory_rss_bytes"
    assert len(processes) > 1


@pytest.mark.ours("7", "readme.txt explains the folder to whoever opens it.")
def test_readme(done: Finished) -> None:
    assert "user/error.txt" in done.log("readme.txt")
