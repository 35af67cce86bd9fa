"""Each job is an MLflow run too."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_runs import has_metrics, new_store

from batchtwin.engine.ledger import Entry, Ledger
from batchtwin.engine.tracking import curves
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import MiniBatch
from batchtwin.workspace.entities import JobStatus
from batchtwin.workspace.workspace import Workspace
from batchtwin_node.protocol import Failure, Outcome
from commands import run_code
from support import DEADLINE, wait_for

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal

SCRIPT = """
def run(files):
    if len(files) < 2:
        raise ValueError("no good")
    return [open(file).read().strip() for file in files]
"""
SHOW = """
import json, os, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
runs = {}
for experiment in client.search_experiments(filter_string="name = 'test-endpoint'"):
    for found in client.search_runs([experiment.experiment_id]):
        kept = client.list_artifacts(found.info.run_id)
        folder = client.download_artifacts(found.info.run_id, "") if kept else "/var/empty/none"
        runs[found.info.run_name] = {
            "id": found.info.run_id, "status": found.info.status,
            "params": found.data.params, "metrics": found.data.metrics, "tags": found.data.tags,
            "files": {name: open(os.path.join(folder, name)).read() for name in (os.listdir(folder) if kept else ())},
        }
print(json.dumps(runs))
"""


@pytest.fixture
def with_mlflow(monkeypatch: pytest.MonkeyPatch, without_mlflow: None) -> None:
    """Jobs as users run them."""
    monkeypatch.delenv("BATCHTWIN_MLFLOW")


def show(workspace: Workspace) -> dict[str, Any]:
    """The runs of the experiment `test-endpoint` by name, as MLflow gives them."""
    runs_found: dict[str, Any] = json.loads(run_code(SHOW, [workspace.jobs.mlflow_uri()], Path.cwd(), DEADLINE))
    return runs_found


@pytest.mark.usefixtures("with_mlflow")
def test_jobs_are_runs(rehearsal: Rehearsal) -> None:
    """Two at once, on a workspace that has no MLflow database yet: one completes, one fails."""
    rehearsal.deploy(script=SCRIPT, retry_settings={"max_retries": 1})
    workspace = rehearsal.workspace
    good = rehearsal.invoke(mini_batch_size=2)
    bad = rehearsal.invoke(mini_batch_size=1)
    wait_for(lambda: all(workspace.jobs.get(job.name).mlflow_run_id for job in (good, bad)))
    runs = show(workspace)
    run = runs[good.name]
    assert run["id"] == workspace.jobs.get(good.name).mlflow_run_id
    assert run["status"] == "FINISHED"
    assert run["params"].items() >= {"deployment": "test-deployment", "mini_batch_size": "2"}.items()
    assert run["metrics"].items() >= {"files": 2, "rows": 2, "failures": 0}.items()
    assert run["metrics"]["rows_per_second"] > 0
    assert run["files"]["head-predictions.csv"] == "0\n1\n"
    assert run["files"]["report.html"].startswith("<!doctype html>")
    assert run["metrics"]["progress/mini_batches_done"] == 1 and run["metrics"]["progress/failed_tries"] == 0
    assert run["metrics"]["predictions/prediction/share of 0"] == 0.5
    assert run["files"]["summary.txt"].startswith("There are 1 mini batches with 2 items.")
    assert runs[bad.name]["status"] == "FAILED"
    assert "no good" in runs[bad.name]["files"]["error.txt"]


@pytest.mark.usefixtures("with_mlflow")
def test_without_mlflow_a_job_completes(rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "instead/mlflow").mkdir(parents=True)
    (tmp_path / "instead/mlflow/__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'mlflow'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "instead"))
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke())
    assert (job.status, job.mlflow_run_id) == (JobStatus.COMPLETED, None)
    log = job.output / "runner.log"
    wait_for(lambda: "No MLflow run: No module named 'mlflow'" in log.read_text())


LOGGING = """
import os, time
from pathlib import Path
import mlflow

def run(files):
    mlflow.log_param("model_kind", "echo")
    mlflow.log_param("timeout", "mine")
    mlflow.log_metric("files_seen", len(files))
    Path("a.txt").write_text("artifact")
    mlflow.log_artifact("a.txt")
    while not Path("THERE").exists():
        time.sleep(0.02)
    return [open(file).read().strip() for file in files]
"""


@pytest.mark.usefixtures("with_mlflow")
def test_what_a_script_logs_is_in_the_run_of_its_job(
    rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the job runs, too; two workers, one run; not in the caller's own store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "callers"))
    go = tmp_path / "go"
    script = LOGGING.replace("THERE", str(go))
    rehearsal.deploy(script=script, files=2, mini_batch_size=1, max_concurrency_per_instance=2)
    workspace = rehearsal.workspace
    new_store(workspace.root / "mlflow.db")
    job = rehearsal.invoke()
    wait_for(lambda: workspace.jobs.get(job.name).mlflow_run_id is not None)
    wait_for(lambda: has_metrics(workspace.root / "mlflow.db", ["files_seen"]))
    running = show(workspace)[job.name]
    assert (running["status"], running["params"]["model_kind"]) == ("RUNNING", "echo")
    go.touch()
    rehearsal.end(job)
    wait_for(lambda: has_metrics(workspace.root / "mlflow.db", ["files_seen", "rows"], is_ended=True))
    runs = show(workspace)
    assert list(runs) == [job.name]
    ended = runs[job.name]
    assert (ended["id"], ended["status"]) == (workspace.jobs.get(job.name).mlflow_run_id, "FINISHED")
    assert ended["params"].items() >= {"model_kind": "echo", "timeout": "mine", "mini_batch_size": "1"}.items()
    assert ended["metrics"].items() >= {"files_seen": 1, "rows": 2}.items()
    assert ended["files"]["a.txt"] == "artifact"
    assert not (tmp_path / "callers").exists()
    assert not (job.output / "logs/user/mlflow").exists()


def test_the_head_of_predictions_has_a_header_where_rows_have_names(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("".join(f"{row},0.5,a.csv\n" for row in range(30)))
    assert curves.predictions_head(path, tmp_path).splitlines()[:2] == ["row,prediction,file_name", "0,0.5,a.csv"]
    path.write_text("any text\n")
    assert curves.predictions_head(path, tmp_path) == "any text\n"
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert curves.predictions_head(path, tmp_path) == ""


def test_curves_go_on_from_the_call_before(tmp_path: Path) -> None:
    """A point for each ten seconds in which something ended, once its time is over."""
    plan = [MiniBatch(number, (InputFile(f"/{number}", 1, 0),)) for number in range(4)]
    facts = {"started": "2026-01-01T00:00:00+00:00"}
    with closing(Ledger.create(tmp_path / "job.sqlite", facts, plan, {})) as ledger:
        followed = curves.Curves(tmp_path, 1000.0)
        ledger.add([Entry(Outcome(0, 1, "w", "s", 0, 0, 0, 50, 1, 0, 1, 1001.0, 1.0, 1.0), True)])
        assert followed.take() == []
        ledger.add([Entry(Failure("w", "raised", "no", 1, 1012.0, "", 1, 1, 1.0), False)])
        values = {value.key: (value.value, value.at, value.step) for value in followed.take()}
        assert values["progress/rows_per_second"] == (5.0, 1010.0, 0)
        assert values["progress/failed_tries"][0] == 0
        ends = {value.key: (value.value, value.step) for value in followed.take(is_end=True)}
        assert ends == {
            "progress/rows_per_second": (0.0, 1),
            "progress/mini_batches_done": (1, 1),
            "progress/failed_tries": (1, 1),
        }
