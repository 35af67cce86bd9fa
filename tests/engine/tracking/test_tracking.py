"""What a scoring script logs with MLflow: where it goes, and that it never fails a job."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from mlflow_runs import has_metrics, new_store, shown

from batchtwin.engine.tracking.choice import CHOOSES, absolute, is_local, mentions
from batchtwin.engine.tracking.logged import Logged, LogReader, Point, TooLargeError
from commands import COMMAND, run_code
from support import DEADLINE, Finished, Project, wait_for, warm

SCRIPT = """
import os, mlflow

def run(mini_batch):
    mlflow.log_param("kind", "echo")
    for path in mini_batch:
        # A store keeps one of two points with the same value in the same millisecond.
        mlflow.log_metric("size/bytes", os.path.getsize(path) + sum(path.encode()))
    with open("note.txt", "w") as stream:
        stream.write("hello")
    mlflow.log_artifact("note.txt", "notes")
    mlflow.set_tag("who", "me")
    return mini_batch
"""
OWN_RUNS = """
import os, mlflow

def run(mini_batch):
    with mlflow.start_run(run_name="own") as own:
        mlflow.log_param("file", mini_batch[0])
        mlflow.log_metric("count", len(mini_batch))
        with mlflow.start_run(nested=True):
            mlflow.log_metric("inner", 1)
    return mini_batch
"""


def echo(folder: Path) -> Project:
    """Four files for two workers."""
    project = Project(folder / "project", SCRIPT)
    project.files(4)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return echo(tmp_path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stores of all tests are, one after the other: workers with the same variables share their imports."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture
def database(stores: Path) -> str:
    """The URI of a database without runs."""
    return new_store(stores / "runs.db")


@pytest.fixture
def folder(stores: Path) -> str:
    """The path of a store of files that is not there yet."""
    shutil.rmtree(stores / "runs", ignore_errors=True)
    return str(stores / "runs")


def track(project: Project, uri: str, *words: str) -> Finished:
    """Score with a store of the user's; the imports of the script may be those of the job before."""
    return project.score(*words, env={**warm(), "MLFLOW_TRACKING_URI": uri})


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A job without a store; its rows are the id of its run, and what the service calls it."""
    project = echo(tmp_path_factory.mktemp("alone"))
    ids = "[mlflow.active_run().info.run_id + ' ' + os.environ['AZUREML_RUN_ID']]"
    project.script = SCRIPT.replace("return mini_batch", f"return {ids}")
    project.settings = {"mini_batch_size": 4}
    done = project.score(env=warm())
    assert done.code == 0, done.err
    return done


def test_without_a_store_it_is_counted_in_a_note_and_kept(alone: Finished) -> None:
    (note,) = [line for line in alone.err.splitlines() if line.startswith("MLflow: ")]
    assert "the job logged 1 parameter, 1 metric, 1 artifact" in note
    assert "set MLFLOW_TRACKING_URI" in note
    assert note in alone.log("job_progress_overview.*")
    files = [path.name for path in (alone.output / "logs/user/mlflow").rglob("note.txt")]
    assert files


@pytest.mark.parametrize("store", ["database", "folder"])
def test_a_local_store_of_the_users_gets_one_run(
    project: Project, tmp_path: Path, request: pytest.FixtureRequest, store: str
) -> None:
    uri = request.getfixturevalue(store)
    done = track(project, uri)
    assert done.code == 0, done.err
    (run,) = shown(uri, tmp_path)
    assert (run["params"]["kind"], run["points"]["size/bytes"], run["who"]) == ("echo", 4, "me")
    assert {"notes/note.txt", "report.html", "head-predictions.csv"} == set(run["files"])
    assert run["status"] == "FINISHED"
    assert not (done.output / "logs/user/mlflow").exists()


def test_runs_that_the_script_starts_go_into_the_one_run(project: Project, tmp_path: Path, folder: str) -> None:
    project.script = OWN_RUNS
    done = track(project, folder, "--workers", "1")
    assert done.code == 0, done.err
    (run,) = shown(folder, tmp_path)
    assert (run["points"]["count"], run["points"]["inner"]) == (4, 4)
    assert "file" in run["params"]
    assert "3 values did not fit in one run" in done.err


def test_a_job_that_logs_nothing_is_a_run_too(project: Project, tmp_path: Path, database: str) -> None:
    """With figures, settings, curves, the distribution of the predictions, its report, and how it ended."""
    project.script = "def run(mini_batch): return ['7' for path in mini_batch]"
    done = project.score(env={"MLFLOW_TRACKING_URI": database})
    (note,) = [line for line in done.err.splitlines() if line.startswith("MLflow: the job is run ")]
    assert done.code == 0 and note.endswith(f" of {database}")
    project.script = "def run(mini_batch): raise ValueError('no good')"
    assert project.score("--overwrite", env={"MLFLOW_TRACKING_URI": database}).code == 1
    failed, good = shown(database, tmp_path)
    assert (good["status"], failed["status"]) == ("FINISHED", "FAILED")
    assert {"rows", "progress/mini_batches_done", "predictions/prediction/share of 7"} <= set(good["points"])
    assert (good["params"]["mini_batch_size"], good["params"]["deployment"]) == ("1", "test-deployment")
    assert set(good["files"]) == {"report.html", "head-predictions.csv"} and failed["files"] == ["report.html"]


def test_a_long_job_has_its_run_while_it_runs(
    project: Project, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something was logged: the run is there at once, without an end."""
    go = tmp_path / "go"
    condition = f"'00' not in os.path.basename(mini_batch[0]) and not os.path.exists({str(go)!r})"
    end = f"    while {condition}: time.sleep(0.02)\n    return mini_batch\n"
    project.script = SCRIPT.replace("import os", "import os, time").replace("    return mini_batch\n", end)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    job = project.start("--workers", "1", "--warm")
    wait_for(lambda: has_metrics(Path(database.removeprefix("sqlite:///")), ["size/bytes"]))
    (running,) = shown(database, tmp_path)
    assert (running["status"], running["params"]["kind"]) == ("RUNNING", "echo")
    go.touch()
    assert project.end(job).code == 0
    assert [run["status"] for run in shown(database, tmp_path)] == ["FINISHED"]


def made_model(folder: Path, go: Path) -> Path:
    """A model that scores no row by itself, logs a parameter, and waits for a file."""
    code = f"""
        import os, time
        import mlflow

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                if len(model_input) > 1:  # else it is only tried
                    mlflow.log_param("kind", "parts")
                    while not os.path.exists({str(go)!r}):
                        time.sleep(0.02)
                return model_input["x"] - model_input["x"].mean()

        mlflow.models.set_model(Model())
    """
    save = """
        import sys, mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema
        signature = ModelSignature(Schema([ColSpec("double", "x")]))
        mlflow.pyfunc.save_model(sys.argv[1], python_model=sys.argv[2], signature=signature, pip_requirements=[])
    """
    (folder / "model.py").write_text(textwrap.dedent(code))
    run_code(textwrap.dedent(save), [folder / "saved", folder / "model.py"], folder, DEADLINE)
    return folder / "saved"


def test_a_job_that_begins_again_is_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that cannot be scored in parts are scored whole: the run of the first attempt is gone on with."""
    uri, go = f"sqlite:///{tmp_path}/runs.db", tmp_path / "go"
    project = Project(tmp_path / "project", model=made_model(tmp_path, go))
    (project.inputs / "a.csv").write_text("x\n" + "".join(f"{row}\n" for row in range(1000)))
    assert shown(uri, tmp_path) == []  # the database is there: two do not make it at once
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    command = [str(COMMAND), *map(str, project.words("--split-rows", "100"))]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(run["params"] for run in shown(uri, tmp_path)) or job.poll() is not None)
    go.touch()
    done = project.end(job)
    assert (done.code, "whole files are scored" in done.err, "they are in run" in done.err) == (0, True, True), done.err
    assert [(run["status"], run["params"]["kind"]) for run in shown(uri, tmp_path)] == [("FINISHED", "parts")]
    assert not (done.output / "logs/user/mlflow").exists()


GIVES_UP = """
import os, sys
import batchtwin

class Progress:
    def update(self, job):
        if os.path.exists(sys.argv[4]):
            raise ArithmeticError("of the caller's own")
    def note(self, text): pass
    def close(self): pass

batchtwin.score(sys.argv[1], sys.argv[2], output=sys.argv[3], workers=1, progress=Progress())
"""


@pytest.mark.parametrize("end", ["an error", "kill"])
def test_a_job_without_an_end_leaves_no_run_that_runs(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The caller's own code raises, or the job is killed."""
    uri, go = f"sqlite:///{tmp_path}/runs.db", tmp_path / "go"
    project.script = SCRIPT.replace("    return mini_batch\n", "    import time\n    time.sleep(300)\n")
    assert shown(uri, tmp_path) == []  # the database is there: two do not make it at once
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    words = [project.write(), project.inputs, project.folder / "job", go]
    job = subprocess.Popen([sys.executable, "-c", GIVES_UP, *map(str, words)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(run["params"] for run in shown(uri, tmp_path)) or job.poll() is not None)
    if end == "kill":
        job.kill()
    else:
        go.touch()
    _, errors = job.communicate(timeout=DEADLINE)
    assert end == "kill" or "ArithmeticError" in errors
    wait_for(lambda: [run["status"] for run in shown(uri, tmp_path)] == ["KILLED"])


def test_a_server_that_is_not_there_costs_no_job(project: Project) -> None:
    project.script = "def run(mini_batch): return mini_batch"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = project.score(env={"MLFLOW_TRACKING_URI": uri})
        off = project.score("--overwrite", env={"MLFLOW_TRACKING_URI": uri, "BATCHTWIN_MLFLOW": "off"})
    assert done.code == 0 and f"MLflow: {uri} has no run of the job" in done.err
    assert (off.code, "MLflow" in off.err) == (0, False)


def test_a_script_may_choose_an_experiment(project: Project) -> None:
    project.script = SCRIPT.replace("def run", "mlflow.set_experiment('mine')\n\ndef run")
    done = project.score()
    assert done.code == 0, done.err
    assert "the job logged 1 parameter" in done.err


def test_a_script_may_choose_a_store_of_its_own(project: Project, tmp_path: Path) -> None:
    uri = new_store(tmp_path / "own.db")
    project.script = SCRIPT.replace("def run", f"mlflow.set_tracking_uri({uri!r})\n\ndef run")
    done = project.score("--workers", "1")
    assert (done.code, "MLflow: " in done.err) == (0, False), done.err
    assert [run["params"] for run in shown(uri, tmp_path)] == [{"kind": "echo"}]


def test_autologging_goes_to_the_run(project: Project, tmp_path: Path, folder: str) -> None:
    project.script = """
        import mlflow
        from sklearn.linear_model import LogisticRegression

        mlflow.autolog(silent=True)

        def run(mini_batch):
            LogisticRegression(C=0.5).fit([[0.0], [1.0]], [0, 1])
            return mini_batch
    """
    project.settings = {"mini_batch_size": 4}
    done = project.score(env={"MLFLOW_TRACKING_URI": folder})
    assert done.code == 0, done.err
    (run,) = shown(folder, tmp_path)
    assert run["params"]["C"] == "0.5"
    assert "training_accuracy_score" in run["points"]
    assert [name for name in run["files"] if name.endswith("MLmodel")]


def test_the_run_has_the_id_of_the_job(alone: Finished) -> None:
    assert alone.predictions == "job job\n"


def test_a_store_that_refuses_fails_no_job(project: Project, stores: Path) -> None:
    (stores / "runs.db").write_text("no database")
    done = track(project, f"sqlite:///{stores}/runs.db")
    assert done.code == 0, done.err
    assert "does not take them" in done.err
    assert list((done.output / "logs/user/mlflow").rglob("note.txt"))


def test_a_store_of_the_deployments_own_is_left_to_it(project: Project, tmp_path: Path) -> None:
    project.settings = {"environment_variables": {"MLFLOW_TRACKING_URI": str(tmp_path / "own")}}
    project.settings["environment_variables"]["MLFLOW_ALLOW_FILE_STORE"] = "true"
    done = project.score("--workers", "1")
    assert (done.code, "MLflow: " in done.err) == (0, False), done.err
    assert shown(str(tmp_path / "own"), tmp_path)[0]["params"] == {"kind": "echo"}


def test_a_job_that_logs_nothing_has_no_store(project: Project) -> None:
    project.script = "import os, mlflow\ndef run(mini_batch): return mini_batch"
    done = project.score(env=warm())
    notes = [line for line in done.err.splitlines() if not line.startswith("Processed ")]  # progress of a slow machine
    assert (done.code, notes) == (0, [])
    assert not (done.output / "logs/user/mlflow").exists()


def put(folder: Path, name: str, text: str, store: str = "run1-node0-process000") -> Path:
    path = folder / "logs/user/mlflow" / store / "0/job" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_metrics_are_read_bit_by_bit(tmp_path: Path) -> None:
    path = put(tmp_path, "metrics/loss/train", "1 0.5 0\n2 0.25 1 some more\n3 0.1")
    reader = LogReader(tmp_path / "logs", 1)
    assert reader.take().points == [Point("loss/train", 0.5, 1, 0), Point("loss/train", 0.25, 2, 1)]
    with path.open("a") as stream:
        stream.write("25 7\nrubbish\n4 nan\n")
    first, second = reader.take().points
    assert (first, second.key, second.timestamp) == (Point("loss/train", 0.125, 3, 7), "loss/train", 4)
    assert reader.take() == Logged()


def test_what_two_workers_log_is_one(tmp_path: Path) -> None:
    put(tmp_path, "params/a", "1")
    put(tmp_path, "params/a", "1", "run1-node0-process001")
    put(tmp_path, "params/b", "x", "run1-node0-process001")
    put(tmp_path, "params/b", "y", "run1-node0-process002")
    put(tmp_path, "tags/mlflow.user", "root")
    put(tmp_path, "params/c", "of another run", "run2-node0-process000")
    reader = LogReader(tmp_path / "logs", 1)
    assert reader.take() == Logged(params={"a": "1", "b": "x"}, left_out=1)
    assert reader.metrics == set()


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("s3cret")
    job = tmp_path / "job"
    put(job, "artifacts/good.txt", "good").with_name("key").symlink_to(secret / "key")
    (job / "logs/user/mlflow/run1-node0-process000/0/job/artifacts/all").symlink_to(secret)
    (job / "logs/user/mlflow/run1-node0-process000/0/job/params").symlink_to(secret)
    (job / "logs/user/mlflow/run1-other").symlink_to(secret)
    os.mkfifo(job / "logs/user/mlflow/run1-node0-process000/0/job/artifacts/pipe")
    reader = LogReader(job / "logs", 1)
    assert reader.take() == Logged()
    assert [artifact.path for artifact in reader.artifacts()] == ["good.txt"]
    [artifact] = reader.artifacts()
    assert reader.copy(artifact, tmp_path / "copy") == 4
    assert (tmp_path / "copy").read_bytes() == b"good"


def test_an_artifact_is_copied_up_to_a_limit(tmp_path: Path) -> None:
    large = put(tmp_path, "artifacts/large", "")
    os.truncate(large, 9 << 20)
    reader = LogReader(tmp_path / "logs", 1)
    [artifact] = reader.artifacts()
    assert reader.copy(artifact, tmp_path / "fits", 9 << 20) == 9 << 20
    tracemalloc.start()
    with pytest.raises(TooLargeError, match="large"):
        reader.copy(artifact, tmp_path / "copy", (9 << 20) - 1)
    reader.copy(artifact, tmp_path / "again")
    assert tracemalloc.get_traced_memory()[1] < 9 << 20, "block by block"
    tracemalloc.stop()
    assert not (tmp_path / "copy").exists()


@pytest.fixture(scope="module")
def large(stores: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, dict[str, Any]]:
    """A job that logs an artifact of 5 GiB, which holds nothing, and a dataset; and its run."""
    project = echo(tmp_path_factory.mktemp("large"))
    project.script = SCRIPT.replace(
        "    return mini_batch",
        "    holes = mlflow.get_artifact_uri('holes').partition('://')[2]\n"
        "    os.truncate(os.open(holes, os.O_CREAT | os.O_RDWR), 5 << 30)\n"
        "    table = mlflow.data.from_pandas(pandas.DataFrame({'a': [1]}), name='scored')\n"
        "    mlflow.log_input(table, context='scoring', tags={'site': '1'})\n"
        "    return mini_batch",
    ).replace("def run", "def init():\n    global pandas\n    import pandas\n\ndef run")
    shutil.rmtree(stores / "runs", ignore_errors=True)
    done = track(project, f"{stores}/runs", "--workers", "1")
    assert done.code == 0, done.err
    (run,) = shown(f"{stores}/runs", project.folder)
    return done, run


def test_an_artifact_that_is_too_large_is_left_out_and_kept(large: tuple[Finished, dict[str, Any]]) -> None:
    done, run = large
    assert "1 artifact left out, for the files of a run may have 4 GiB in all: holes" in done.err
    assert "notes/note.txt" in run["files"] and not any("holes" in name for name in run["files"])
    assert list((done.output / "logs/user/mlflow").rglob("holes"))


def test_datasets_are_inputs_of_the_run(large: tuple[Finished, dict[str, Any]]) -> None:
    done, run = large
    assert run["datasets"] == {"scored": {"mlflow.data.context": "scoring", "site": "1"}}
    assert "1 dataset" in done.err


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("mlruns", True),
        ("/x/mlruns", True),
        ("file:///x", True),
        ("file:x", True),
        ("sqlite:///x.db", True),
        ("http://127.0.0.1:5000", False),
        ("azureml://x/y", False),
        ("postgresql://x/y", False),
        ("databricks", False),
        ("databricks://profile", False),
    ],
)
def test_a_store_of_this_machine_is_told_from_a_server(uri: str, local: bool) -> None:
    assert is_local(uri) is local


def test_a_relative_store_is_seen_from_the_callers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("runs") == (tmp_path / "runs").as_uri()
    assert absolute("/x/runs") == absolute("file:///x/runs") == "file:///x/runs"
    assert absolute("sqlite:///runs.db") == f"sqlite:///{tmp_path}/runs.db"
    assert absolute("sqlite:////x/runs.db") == "sqlite:////x/runs.db"
    assert absolute("http://x") == "http://x"


def test_the_code_is_looked_at_for_the_choice_of_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "a.py").write_text("import mlflow\n")
    assert not mentions(tmp_path, *CHOOSES)
    (tmp_path / "lib/b.py").write_text("mlflow.set_experiment('x')\n")
    assert mentions(tmp_path, *CHOOSES)
