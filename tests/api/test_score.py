"""`batchtwin.score` and its neighbours, as a script calls them."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import batchtwin
from batchtwin.api.options import PlanOptions, ResumeOptions, ScoreOptions
from batchtwin.cli import app
from support import Project, wait_for

Deploy = Callable[..., Path]
InProcess = Callable[..., Any]
ROWS = """
    def run(mini_batch):
        return [f"{path[-6:]}-ok" for path in mini_batch]
"""
ONE_FAILS = """
    def run(mini_batch):
        if mini_batch[0].endswith("01.txt"):
            raise ValueError("no <b>good</b>")
        return ["0.5"] * len(mini_batch)
"""


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_job_gives_a_result(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.files(3)
    project.script = ROWS
    result = batchtwin.score(project.write(), project.inputs, output="job", workers=1)
    assert (result.status, result.ok, result.exit_code) == ("Completed", True, 0)
    assert (result.files, result.rows, result.failed, result.cause) == (3, 3, 0, "")
    assert result.folder == Path("job").absolute()
    assert result.written == result.folder / "named-outputs/score/predictions.csv"
    assert result.predictions["prediction"].tolist() == ["00.txt-ok", "01.txt-ok", "02.txt-ok"]
    assert (result.failures, result.report) == ([], result.folder / "report.html")
    (result.folder / "report.html").unlink()
    assert result.report is None
    assert result.raise_for_status() is result
    assert capfd.readouterr() == ("", "")


def test_without_output_each_job_gets_a_folder_of_its_own(project: Project) -> None:
    project.files(1)
    project.script = ROWS
    deployment = project.write()
    results: list[batchtwin.Result] = []

    def score() -> None:
        results.append(batchtwin.score(deployment, project.inputs, workers=1))

    threads = [threading.Thread(target=score) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.status for result in results] == ["Completed"] * 3
    assert len({result.folder for result in results}) == 3
    assert all(result.folder.parent.name == "outputs" for result in results)


def test_a_failed_job_is_a_result(project: Project) -> None:
    project.files(2)
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 1}}
    project.script = ONE_FAILS
    result = batchtwin.score(project.write(), project.inputs, output="job", workers=1)
    assert (result.status, result.ok, result.exit_code) == ("Failed", False, 1)
    assert "no <b>good</b>" in result.cause
    assert [Path(record["file"]).name for record in result.failures] == ["01.txt"]
    with pytest.raises(batchtwin.JobError, match="Failed: The number of failed items is 1") as raised:
        result.raise_for_status()
    assert raised.value.result is result
    with pytest.raises(batchtwin.JobError, match="no predictions"):
        _ = result.predictions
    assert "<b>good" not in result._repr_html_()
    assert "&lt;b&gt;good" in result._repr_html_()

    project.script = ROWS
    with pytest.raises(batchtwin.BatchTwinError, match="code folder has changed"):
        project.write()
        batchtwin.resume(result)


def test_summary_only_has_no_predictions(project: Project) -> None:
    project.files(1)
    project.settings = {"output_action": "summary_only"}
    project.script = ROWS
    result = batchtwin.score(project.write(), project.inputs, output="job", workers=1)
    assert result.ok
    with pytest.raises(batchtwin.JobError, match="summary_only"):
        _ = result.predictions
    assert "Completed" in result._repr_html_()


def test_what_is_refused_has_the_text_of_the_command_line(project: Project) -> None:
    project.files(1)
    project.script = ROWS
    with pytest.raises(batchtwin.BatchTwinError, match="no such file or folder; --input takes a folder"):
        batchtwin.score(project.write(), project.folder / "none")
    with pytest.raises(batchtwin.BatchTwinError, match="out of range"):
        batchtwin.score(project.write(), project.inputs, set={"settings.mini_batch_size": 0})
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"worker": 2}, TypeError, "did you mean workers"),
        ({"workers": 0}, batchtwin.BatchTwinError, "workers=0: expected a whole number from 1"),
        ({"workers": True}, batchtwin.BatchTwinError, "expected a whole number"),
        ({"bad_files": "ignore"}, batchtwin.BatchTwinError, "expected one of fail, quarantine"),
        ({"overwrite": "no"}, batchtwin.BatchTwinError, "expected True or False"),
        ({"ray_cpus": 2}, batchtwin.BatchTwinError, "--ray-cpus requires --pool ray"),
        ({"pool": "ray", "ray_cpus": float("nan")}, batchtwin.BatchTwinError, "expected a number from 0.01"),
        ({"set": {"settings": object()}}, batchtwin.BatchTwinError, "set: settings: .* not JSON serializable"),
        ({"set": {"a..b": 1}}, batchtwin.BatchTwinError, "expected a key such as"),
        ({"model": "azureml:heart:1"}, batchtwin.BatchTwinError, "names a resource of Azure ML"),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type[Exception], text: str, project: Project) -> None:
    project.files(1)
    project.script = ROWS
    with pytest.raises(error, match=text):
        batchtwin.score(project.write(), project.inputs, **options)


@pytest.mark.parametrize(
    ("command", "options"), [("score", ScoreOptions), ("plan", PlanOptions), ("resume", ResumeOptions)]
)
def test_every_option_of_a_command_is_a_keyword(command: str, options: type) -> None:
    """`--ray-cpus` is `ray_cpus`. The input has a place of its own, `--json` prints, `--try` is a word of Python."""
    described: Any = get_command(app)
    flags = {option for parameter in described.commands[command].params for option in parameter.opts}
    names = {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}
    assert names - {"input", "json", "try", "help"} == set(options.__annotations__)


def test_values_of_set_keep_their_type(project: Project) -> None:
    project.files(2)
    project.script = """
        import os
        def run(mini_batch):
            return [os.environ["WORD"]] * len(mini_batch)
    """
    overrides = {
        "settings.environment_variables": {"WORD": "yes: no 😀"},
        "settings.mini_batch_size": 2,
        "settings.output_file_name": "007",
    }
    result = batchtwin.score(project.write(), project.inputs, output="job", workers=1, set=overrides)
    assert Path(result.written).name == "007"
    assert Path(result.written).read_text() == "yes: no 😀\n" * 2


def test_resume_runs_what_is_left(project: Project) -> None:
    project.files(2)
    flag = project.folder / "mended"
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 1}}
    project.script = f"""
        import os
        def run(mini_batch):
            if not os.path.exists({str(flag)!r}):
                raise ValueError("not yet")
            return ["row"]
    """
    failed = batchtwin.score(project.write(), project.inputs, output="job", workers=1)
    assert failed.status == "Failed"
    flag.touch()
    result = batchtwin.resume(failed, retry_failed=True)
    assert (result.status, result.rows) == ("Completed", 2)
    assert batchtwin.verify("job").ok
    assert batchtwin.compare(result, result.folder).equal
    with pytest.raises(TypeError, match="unexpected keyword argument 'retry'"):
        batchtwin.resume(result, retry=True)  # type: ignore[call-arg]


def test_plan_scores_nothing(project: Project) -> None:
    project.files(3)
    project.script = ROWS
    plan = batchtwin.plan(project.write(), project.inputs, set={"settings.mini_batch_size": 2})
    assert plan.facts["files"] == 3
    assert plan.mini_batches == [["00.txt", "01.txt"], ["02.txt"]]
    assert plan.data()["mini_batch_size"] == 2
    assert not Path("outputs").exists()


def test_progress_goes_to_stderr_or_to_an_object(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.files(2)
    project.script = ONE_FAILS
    project.settings = {"retry_settings": {"max_retries": 1}}
    result = batchtwin.score(project.write(), project.inputs, output="job", workers=1, progress=True)
    out, err = capfd.readouterr()
    assert (result.failed, out) == (1, "")
    assert "First failure: " in err

    class Mine:
        def __init__(self) -> None:
            self.notes: list[str] = []
            self.is_closed = False

        def update(self, job: object) -> None:
            """Nothing to show."""

        def note(self, text: str) -> None:
            self.notes.append(text)

        def close(self) -> None:
            self.is_closed = True

    recorder = Mine()
    batchtwin.score(project.write(), project.inputs, output="again", workers=1, progress=recorder)
    assert recorder.is_closed
    assert [note.partition(":")[0] for note in recorder.notes] == ["First failure"]
    assert capfd.readouterr() == ("", "")


def test_warnings_are_kept(project: Project) -> None:
    project.files(1)
    project.script = ROWS
    (project.inputs / ".hidden").write_text("x")
    result = batchtwin.score(project.write(), project.inputs, output="job", workers=1)
    assert result.warnings == ("left out '.hidden': hidden",)


def test_it_runs_in_a_running_loop(project: Project) -> None:
    project.files(1)
    project.script = ROWS
    deployment = project.write()

    async def both() -> list[str]:
        first = batchtwin.score(deployment, project.inputs, output="here", workers=1)
        second = await asyncio.to_thread(batchtwin.score, deployment, project.inputs, output="there", workers=1)
        return [first.status, second.status]

    assert asyncio.run(both()) == ["Completed", "Completed"]


def test_handlers_of_signals_are_as_before(project: Project) -> None:
    project.files(1)
    project.script = ROWS
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    batchtwin.score(project.write(), project.inputs, output="job", workers=1)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


SLOW = """
    import time
    def run(mini_batch):
        if not mini_batch[0].endswith("00.txt"):
            time.sleep(600)
        return ["row"]
"""


def hears_interrupts() -> None:
    """Tests that run in the background of a shell ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def slow_caller(project: Project, script: str) -> subprocess.Popen[str]:
    """Start a script that scores slowly; return when the first mini-batch is committed."""
    project.files(3)
    project.script = SLOW
    project.settings = {"retry_settings": {"timeout": 900}}
    path = project.folder / "caller.py"
    path.write_text(script)
    words = [sys.executable, str(path), str(project.write()), str(project.inputs)]
    pipe = subprocess.PIPE
    caller = subprocess.Popen(
        words, cwd=project.folder, stdout=pipe, stderr=pipe, text=True, preexec_fn=hears_interrupts
    )
    ledger = project.folder / "job/job.sqlite"
    wait_for(lambda: (ledger.exists() and committed(ledger) > 0) or caller.poll() is not None)
    return caller


def committed(ledger: Path) -> int:
    """How many tries a ledger has."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM try").fetchone()[0])


CALL = """
import json, sys, batchtwin
result = batchtwin.score(sys.argv[1], sys.argv[2], output="job", workers=1)
print(json.dumps([result.status, result.exit_code, result.rows]))
"""


def test_ctrl_c_cancels_the_job(project: Project) -> None:
    caller = slow_caller(project, CALL)
    caller.send_signal(signal.SIGINT)
    out, err = caller.communicate(timeout=300)
    assert (json.loads(out), err, caller.returncode) == (["Canceled", 130, 1], "", 0)


def test_sigterm_is_the_callers(project: Project) -> None:
    caller = slow_caller(project, CALL)
    caller.send_signal(signal.SIGTERM)
    caller.communicate(timeout=300)
    assert caller.returncode == -signal.SIGTERM


def test_an_interrupt_that_another_handler_raises_cancels(project: Project) -> None:
    """A kernel may interrupt a thread by an exception."""
    caller = slow_caller(
        project,
        """
import ctypes, json, signal, sys, threading, batchtwin
results = []
thread = threading.Thread(
    target=lambda: results.append(batchtwin.score(sys.argv[1], sys.argv[2], output="job", workers=1)))
def interrupt(number, frame):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))
signal.signal(signal.SIGUSR1, interrupt)
thread.start()
thread.join()
print(json.dumps(results[0].status))
""",
    )
    caller.send_signal(signal.SIGUSR1)
    out, err = caller.communicate(timeout=300)
    assert (json.loads(out), err) == ("Canceled", "")


def test_importing_is_light(in_process: InProcess) -> None:
    """Nothing is imported before it is used, and pandas not before predictions are asked for."""
    heavy = in_process(
        """
        import json, sys
        import batchtwin
        first = len([name for name in sys.modules if name.startswith(("batchtwin.", "pydantic", "yaml"))])
        batchtwin.score
        names = ("pandas", "numpy", "mlflow", "rich", "typer", "fsspec", "pyarrow", "IPython")
        print(json.dumps([first, [name for name in names if name in sys.modules]]))
        """
    )
    assert heavy == [0, []]


def test_what_runs_a_job_is_imported_while_its_node_starts(in_process: InProcess) -> None:
    """Nor does `plan` need it."""
    early = in_process(
        """
        import json, sys
        import batchtwin.api.jobs, batchtwin.api.plans, batchtwin.engine.backends.choice, batchtwin.engine.preview
        late = ("batchtwin.engine.run", "batchtwin.engine.new_job", "batchtwin.engine.report", "jinja2")
        print(json.dumps([name for name in late if name in sys.modules]))
        """
    )
    assert early == []


def test_the_stable_names_are_documented() -> None:
    for name in batchtwin.__all__:
        assert inspect.getdoc(getattr(batchtwin, name)), name
    assert set(batchtwin.__all__) <= set(dir(batchtwin))
    with pytest.raises(AttributeError, match="no attribute 'scored'"):
        _ = batchtwin.scored


def test_without_pandas_it_says_which_package(project: Project, in_process: InProcess) -> None:
    project.files(1)
    project.script = ROWS
    script = """
        import json, sys
        sys.modules["pandas"] = None
        import batchtwin
        result = batchtwin.score(sys.argv[1], sys.argv[2], output="job", workers=1)
        assert result.ok and "Completed" in result._repr_html_()
        try:
            result.predictions
        except batchtwin.BatchTwinError as error:
            print(json.dumps(str(error)))
    """
    text = in_process(script, project.write(), project.inputs)
    assert re.search("needs pandas, which is not installed here; install it: pip install pandas", text)


def test_a_bad_file_that_ends_the_job_counts(echo: Deploy, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.csv").write_text("out\n1\n")
    (rows / "b.csv").write_text("out\n1,2,3\n")
    result = batchtwin.score(echo(), rows, output=tmp_path / "job", workers=1)
    data = result.data()
    assert str(result.status) == "Failed"
    assert [Path(record["file"]).name for record in result.failures] == ["b.csv"]
    assert (result.failed, data["failed"]) == (1, 1)
    assert result.files >= 1 and "; 1 file failed and ended the job" in result.counts
    assert " 0 failed. The error threshold is" in result.summary  # the service's line, as the service counts
