"""report.html: what it shows of jobs that end in different ways, and that it never changes how they end."""

from __future__ import annotations

import signal
import subprocess
from contextlib import closing
from pathlib import Path

import yaml

from batchtwin.engine.ledger import Ledger
from batchtwin.engine.logs import NODE_USAGE
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.report.collect import collect
from batchtwin.engine.report.usage import read_usage
from batchtwin.engine.report.write import predictions_of
from report_page import FAILS, NUMBERS, RETRIED, Page
from support import COMMAND, Project, batchtwin, wait_for


def test_a_job_of_summary_only_says_that_there_are_no_rows(project: Project) -> None:
    project.script = FAILS.replace("value % 2", "False")
    project.settings = {"output_action": "summary_only"}
    project.files(2)
    done = project.score()
    assert done.code == 0
    assert "summary_only: its script writes what it wants" in Page.read(done.output).words


def test_a_job_whose_script_is_refused_has_a_report(project: Project) -> None:
    project.script = "import nowhere\ndef init(): pass\ndef run(mini_batch): return mini_batch\n"
    project.files(1)
    done = project.score()
    page = Page.read(done.output)
    assert done.code == 2 and page.headings[0] == "job Failed"
    assert "No module named 'nowhere'" in page.words


def test_retries_are_marked(project: Project, tmp_path: Path) -> None:
    project.script = RETRIED.replace("THERE", str(tmp_path))
    project.files(2)
    done = project.score("--workers", "1")
    page = Page.read(done.output)
    assert done.code == 0 and "2 retries" in page.words
    assert 'class="retry"' in page.html and 'class="failed"' in page.html
    assert any("try 1" in title and "failed: raised" in title for title in page.titles)


def test_an_unwritable_report_changes_nothing(project: Project) -> None:
    """A folder stands in its place, which the script has made."""
    project.script = NUMBERS.replace(
        "def init(): pass",
        "def init(): os.makedirs(os.environ['AZUREML_BI_OUTPUT_PATH'] + '/../../report.html/x', exist_ok=True)",
    )
    project.files(1)
    done = project.score()
    assert (done.code, done.out.splitlines()[0]) == (0, "Completed")
    assert (done.output / "manifest.json").is_file()
    assert "No report: " in done.log("job_progress_overview.*")


def test_a_planted_link_is_replaced(project: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    project.script = NUMBERS.replace(
        "def init(): pass",
        f"def init(): os.symlink({str(secret)!r}, os.environ['AZUREML_BI_OUTPUT_PATH'] + '/../../report.html')",
    )
    project.files(1)
    done = project.score("--workers", "1")
    assert secret.read_text() == "mine"
    assert not (done.output / "report.html").is_symlink() and Page.read(done.output).headings[0] == "job Completed"


def test_samples_behind_a_link_are_not_read(tmp_path: Path) -> None:
    node = tmp_path / "real/node0"
    node.mkdir(parents=True)
    lines = [f"2026-01-01T00:00:{at:02}.000+00:00,50.0,1000,4000\n" for at in range(0, 60, 5)]
    (node / "node_resource_usage.csv").write_text("".join([NODE_USAGE, *lines]))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/perf").symlink_to(node.parent)
    began = 1767225600.0
    assert read_usage(tmp_path / "logs", tmp_path, began, 60) == ([], 0)
    (tmp_path / "logs/perf").unlink()
    node.parent.rename(tmp_path / "logs/perf")
    [usage], _ = read_usage(tmp_path / "logs", tmp_path, began, 60)
    assert (usage.name, usage.samples, usage.total, max(filter(None, usage.cpu))) == ("node0", 12, 4000, 50)


def test_a_new_job_takes_the_old_report_away(project: Project) -> None:
    project.script = NUMBERS
    project.files(1)
    project.score()
    project.script = NUMBERS.replace("range(50)", "range(7)")
    assert "7 rows" in Page.read(project.score("--overwrite").output).words


def test_report_needs_a_job(tmp_path: Path) -> None:
    done = batchtwin("report", tmp_path)
    assert done.code == 2 and "is not the output folder of a job" in done.err


def test_drift_of_few_rows_is_called_unreliable(project: Project) -> None:
    project.script = NUMBERS.replace("range(50)", "range(9)")
    project.files(1)
    done = project.score()
    batchtwin("report", done.output, "--against", done.output)
    page = Page.read(done.output)
    assert "All 9 rows are equal." in page.words
    assert page.tables["Drift of prediction"][1][2].startswith("not reliable: fewer than 200 rows")


def test_no_secret_of_the_deployment_is_in_the_report(project: Project) -> None:
    project.script = NUMBERS
    project.settings = {"environment_variables": {"TOKEN": "s3cr3t-of-mine"}}
    project.files(1)
    assert "s3cr3t-of-mine" not in Page.read(project.score().output).html


def test_rows_are_those_of_their_file_whatever_ended_first(project: Project) -> None:
    """The output is in the order of the plan; commits are in the order in which mini-batches ended."""
    project.files(3)
    project.script = """
        import os, time
        def run(mini_batch):
            number = int(os.path.basename(mini_batch[0])[:2])
            while number == 0 and len(os.listdir("SEEN")) < 2:
                time.sleep(0.01)
            open(f"SEEN/{number}", "w").close()
            return [f"{number}.5"] * (10 + number)
    """.replace("SEEN", str(project.folder / "seen"))
    (project.folder / "seen").mkdir()
    done = project.score("--workers", "2")
    assert done.code == 0, done.err
    with closing(Ledger.open(done.output / "job.sqlite")) as ledger:
        job = collect(OutputFolder(done.output), ledger)
        predictions, _ = predictions_of(job, every_row=True)
    assert [outcome.mini_batch for outcome in job.ranges] == [0, 1, 2]
    assert predictions is not None and (predictions.read, predictions.unread) == (33, 0)
    counts = {name: column.present for name, column in predictions.groups.items()}
    assert counts == {"00.txt": 10, "01.txt": 11, "02.txt": 12}


def test_a_retry_of_a_complete_job_counts_each_try_once(project: Project) -> None:
    project.files(2)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = """
        import os
        def run(mini_batch):
            if mini_batch[0].endswith("01.txt") and not os.path.exists("GOOD"):
                raise ValueError("not yet")
            return ["ok"]
    """.replace("GOOD", str(project.folder / "good"))
    assert project.score().code == 0
    (project.folder / "good").touch()
    assert batchtwin("resume", project.folder / "job", "--retry-failed").code == 0
    with closing(Ledger.open(project.folder / "job/job.sqlite")) as ledger:
        assert collect(OutputFolder(project.folder / "job"), ledger).timeline.total == 3


def test_the_file_that_ended_the_job_has_failed(tmp_path: Path, heart_model: Path) -> None:
    """The job ends before its mini-batch has: `failures.jsonl` has the file, and the report counts it."""
    project = Project(tmp_path / "project", model=heart_model)
    project.settings = {"mini_batch_size": 2}
    for name in ("a.csv", "b.csv", "c.csv"):
        (project.inputs / name).write_text("age\nhigh\n")
    done = project.score("--workers", "1")
    page = Page.read(done.output)
    assert done.code == 1 and len((done.output / "failures.jsonl").read_text().splitlines()) == 1
    assert "Failed files1 2 never ended" in " ".join(page.words.split())
    assert "`" not in page.words and "<code>batchtwin resume</code> refuses a changed input" in page.html


BOTH_FAIL = """
    import os, time

    def wait_for(path):
        while not os.path.exists(path):
            time.sleep(0.01)

    def run(mini_batch):
        number = os.path.basename(mini_batch[0])[1]
        open(f"THERE/{number}", "w").close()
        if number == "0":
            wait_for("THERE/go")
        if number == "2":
            wait_for("THERE/never")
        raise ValueError("no good")
"""


def test_what_arrives_after_the_end_is_not_counted(project: Project, tmp_path: Path) -> None:
    """Two failures reach the controller at once, the first of which ends the job."""
    project.script = BOTH_FAIL.replace("THERE", str(tmp_path))
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 0}}
    project.files(3)
    command = [str(COMMAND), *map(str, project.words("--workers", "1"))]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "0").exists() or job.poll() is not None)
    job.send_signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    wait_for(lambda: (tmp_path / "2").exists())  # the second has failed, and its node has told it
    job.send_signal(signal.SIGCONT)
    done = project.end(job)
    assert done.code == 1 and "Processed 1 mini batches containing 1 items, 0 succeeded, 1 failed" in done.out
    words = " ".join(Page.read(done.output).words.split())
    assert "Failed files1 2 never ended" in words and "1 x ValueError" in done.log("user/error.txt")
    assert len(done.failures) == 1 and len(done.log("sys/job_report/*.csv").splitlines()) == 2


def test_columns_of_a_frame_have_the_names_of_the_model_s_signature(project: Project) -> None:
    assert project.model is not None
    outputs = '[{"type": "double", "name": "probability"}, {"type": "string", "name": "class"}]'
    content = {"flavors": {"python_function": {}}, "signature": {"inputs": "[]", "outputs": outputs}}
    (project.model / "MLmodel").write_text(yaml.safe_dump(content))
    project.files(30)
    project.settings = {"mini_batch_size": 30}
    project.script = """
        import pandas
        def run(mini_batch):
            return pandas.DataFrame({"p": [number / 8 for number in range(30)], "c": ["x", "y"] * 15})
    """
    done = project.score()
    words = Page.read(done.output).words
    assert done.code == 0, done.err
    assert "probability" in words and "class" in words and "column 1" not in words
