"""Files in the working folder of a command are never imported in the place of modules: no process runs them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_az import Az
from mlflow_runs import shown

from batchtwin.engine.backends.fetching import FetchProcess
from support import ROOT, Project, batchtwin, wait_for, wait_until_over

NAMES = ("json", "mlflow", "numpy", "pandas", "pathlib", "psutil", "random", "sqlalchemy", "sqlite3", "typing", "yaml")
LOGS = """
import mlflow

def run(mini_batch):
    mlflow.log_param("kind", "echo")
    return mini_batch
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder with files named like modules, each of which leaves a trace when it is run."""
    folder = tmp_path / "work"
    folder.mkdir()
    trace = tmp_path / "trace"
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"open({str(trace)!r}, 'a').write(__name__)\nraise SystemExit('shadowed')\n")
    yield folder
    assert not trace.exists(), trace.read_text()


def test_score_and_its_run_in_mlflow(folder: Path, project: Project, tmp_path: Path) -> None:
    project.script = LOGS
    project.files(2)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/runs.db"}
    done = batchtwin(*project.words(env=env), cwd=folder, env=env)
    assert (done.code, "they are in run" in done.err) == (0, True), done.err
    assert [run["params"]["kind"] for run in shown(env["MLFLOW_TRACKING_URI"], tmp_path)] == ["echo"]


def test_score_of_a_model_and_plan(folder: Path, tmp_path: Path) -> None:
    """The MLflow driver needs no script."""
    deployment, data = ROOT / "deployment-simple/deployment.yml", ROOT / "data/heart-unlabeled-0.csv"
    options = (deployment, "--input", data, "--model", ROOT / "model")
    plan = batchtwin("plan", *options, "--try", cwd=folder)
    done = batchtwin("score", *options, "--output", tmp_path / "job", cwd=folder)
    assert (plan.code, done.code) == (0, 0), plan.err + done.err


def test_jobs_of_a_workspace_and_its_server(folder: Path) -> None:
    az = Az(folder)
    project = az.deploy(LOGS)
    az.invoke("--input", project.inputs, "--job-name", "logged")
    assert az.end("logged") == "Completed"
    page = az("job", "show", "-n", "logged", "--web", "--query", "name")
    pid = int(page.err.splitlines()[0].rpartition(" ")[2])
    os.kill(pid, signal.SIGTERM)
    wait_until_over(pid)
    assert "/web/open?key=" in page.err
    missing = az("model", "create", "-n", "m", "--type", "mlflow_model", "--path", f"runs:/{'a' * 32}/model")
    assert f"no run {'a' * 32}" in missing.err


def test_the_process_that_fetches(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    process = FetchProcess(tmp_path / "copies" / "here", 1)
    try:
        process.request("nothing://a/b.csv")
        answers: list[dict[str, str]] = []

        def answered() -> bool:
            answers.extend(process.answers())
            return bool(answers) or process.has_ended

        wait_for(answered)
        assert [answer["kind"] for answer in answers] == ["raised"]
    finally:
        process.kill()


def test_modules_of_ours_are_started_by_one_function() -> None:
    """The node's own start, for interpreters without `-P`, is in `bootstrap`."""
    owners = {"batchtwin/subprocesses.py", "batchtwin_node/bootstrap.py"}
    starts = re.compile(r"\[\s*\*?\(?sys\.executable")
    users = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if starts.search(path.read_text())
    }
    assert users <= owners
