"""Report: what a person sees of a job."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from batchtwin.engine.ledger import Ledger
from report_page import FAILS, HOSTILE, NUMBERS, WAITS, Page
from support import Project, batchtwin, wait_for


def committed(output: Path) -> int:
    """How many mini-batches have ended."""
    with closing(Ledger.open(output / "job.sqlite")) as ledger:
        return ledger.totals().ended


@pytest.mark.ours("9", "Every job ends with a report.html in its folder: one file that loads nothing from elsewhere.")
def test_a_complete_job(project: Project) -> None:
    project.script = NUMBERS
    project.files(3)
    done = project.score()
    page = Page.read(done.output)
    assert done.code == 0 and page.links == []
    assert page.headings[0] == "job Completed"
    assert [title for title in page.headings if title in {"Failures", "Predictions", "Time", "What ran where"}] == [
        "Failures",
        "Predictions",
        "Time",
        "What ran where",
    ]
    assert f"batchtwin verify {done.output}" in page.words
    assert "3 succeeded of 3" in page.words and "No try has failed." in page.words
    assert "All 150 rows were read." in page.words
    assert ["0.5", "15", "10.0 %", ""] in page.tables["Values of prediction"]
    assert any("mini-batch 2, try 1" in title and "50 rows" in title for title in page.titles)


@pytest.mark.ours("9", "The report names the commands that change something, as the console does.")
def test_a_plain_resume_that_changes_nothing_is_not_named(project: Project) -> None:
    project.script = FAILS
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 1}}
    project.files(3)
    done = project.score("--workers", "1")
    page = Page.read(done.output)
    resume = f"batchtwin resume {done.output}"
    assert f"`{resume}` alone changes nothing" in done.err
    assert f"{resume} alone changes nothing; {resume} --retry-failed runs" in page.words
    assert "Run the failed files again, once the cause is fixed" in page.words
    assert "Go on where it ended" not in page.words


@pytest.mark.ours("9", "The report of a failed job names the cause, the script's line and the files, by cause.")
def test_a_failed_job(project: Project) -> None:
    project.script = FAILS
    project.settings = {"error_threshold": 2, "retry_settings": {"max_retries": 1}}
    project.files(8)
    done = project.score("--workers", "1")
    page = Page.read(done.output)
    assert done.code == 1 and page.headings[:2] == ["job Failed", "Why it failed"]
    assert "exceeds error threshold 2" in page.words
    assert f"In the script at {project.folder / 'code/driver.py'}:7" in page.words
    assert f"batchtwin resume {done.output}" in page.words
    [_, cause] = page.tables["Failures by cause"]
    assert cause[0].startswith("run() raised an error ValueError: record 1 has no age") and cause[0].endswith(":7")
    # What ended together with the last one that counts is there, and cost no file.
    assert cause[1] in {"3", "4"} and cause[2] == "3" and cause[3].startswith("01.txt 03.txt 05.txt")


@pytest.mark.ours("9", "A job that is canceled has a report of what it did until then.")
def test_a_canceled_job(project: Project, tmp_path: Path) -> None:
    project.script = WAITS.replace("THERE", str(tmp_path))
    project.files(6)
    job = project.start()
    wait_for(lambda: committed(project.folder / "job") == 1)
    job.send_signal(signal.SIGINT)
    done = project.end(job)
    page = Page.read(done.output)
    assert done.code == 130 and page.headings[:2] == ["job Canceled", "Why it was canceled"]
    assert "they are not yet an output" in page.words and "1 of 6" in page.words


@pytest.mark.ours("9", "Text from scripts, files and errors is shown in the report, never run.")
def test_hostile_texts_are_shown(project: Project) -> None:
    project.script = HOSTILE
    project.settings = {"retry_settings": {"max_retries": 1}}
    names = ["<script>alert(4)<script>.txt", "\u202egnp.txt", "bad<b>.txt", "'\"&amp;.txt"]
    for name in names:
        (project.inputs / name).write_text("1")
    done = project.score()
    page = Page.read(done.output)
    assert done.code == 0 and page.links == []
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"img", "b.txt"} & {tag for tag, _ in page.tags}
    for text in ("<script>alert(1)</script>", "<script>alert(2)</script>", names[0], names[3], "bad<b>.txt"):
        assert text in page.text
    assert "\u202e" not in page.html and r"\u202egnp.txt" in page.text and r"\ud800" in page.text
    assert "(10,000 characters)" in page.text and "x" * 1000 not in page.html and "y" * 1000 not in page.html


@pytest.mark.ours("9", "batchtwin report writes the report again, also of a job that runs or was killed.")
def test_report_of_a_job_that_runs_and_of_one_that_was_killed(project: Project, tmp_path: Path) -> None:
    project.script = WAITS.replace("THERE", str(tmp_path))
    project.files(4)
    job = project.start()
    output = project.folder / "job"
    wait_for(lambda: batchtwin("report", output).code == 0 and "1 of 4" in Page.read(output).words)
    assert Page.read(output).headings[0] == "job Running"
    os.kill(job.pid, signal.SIGKILL)
    project.end(job)
    again = batchtwin("report", output)
    page = Page.read(output)
    assert again.out.strip() == str(output / "report.html")
    assert page.headings[0] == "job Interrupted" and f"batchtwin resume {output}" in page.words
    (tmp_path / "go").touch()
    assert batchtwin("resume", output).code == 0
    page = Page.read(output)
    assert page.headings[0] == "job Completed" and "run 2 of the job" in page.words


@pytest.mark.ours("9", "batchtwin report --against shows both distributions, the rows that changed, PSI and KS.")
def test_against_an_earlier_job(project: Project) -> None:
    project.script = NUMBERS.replace("row % 10 + 0.5", "row * 0.37 % 10")
    project.files(12)
    batchtwin(*project.words()[:-4], "--output", project.folder / "before", "--workers", "2")
    project.script = NUMBERS.replace("row % 10 + 0.5", "row * 0.37 % 10 + (3 if row % 2 else 0)")
    done = project.score()
    again = batchtwin("report", done.output, "--against", project.folder / "before")
    page = Page.read(done.output)
    assert again.code == 0, again.err
    changes = dict(page.tables["Rows that changed"][1:])
    assert changes["in both, and different"] == "300" and changes["rows of this job"] == "600"
    measures = {row[0]: row[2] for row in page.tables["Drift of prediction"][1:]}
    assert measures["KS"].startswith("more than chance") and "chance alone gives" in measures["PSI"]
    assert "Earlier job" in page.tables["Quantiles of prediction"][0]
