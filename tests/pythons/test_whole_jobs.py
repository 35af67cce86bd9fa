"""Whole jobs of this controller, with the node under other Pythons: scripts, the driver, failures, timeouts."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from old_environments import Environment
from PIL import Image

from batchtwin.engine.backends.local import LocalBackend
from batchtwin.engine.context import node_init
from batchtwin.engine.new_job import new_job
from batchtwin.engine.output.result import JobResult
from batchtwin.engine.prepare import Request, prepare, resolve
from batchtwin.engine.progress import progress_for
from batchtwin.engine.tracking.logged import LogReader
from support import Finished, Project

HERE = Path(__file__).parent


@dataclass
class Ended:
    """A job that has ended, and what it left."""

    result: JobResult
    left: Finished


Score = Callable[..., Ended]


@pytest.fixture
def score(environment: Environment) -> Score:
    """Score a project with workers of an environment."""

    def score(project: Project, **options: Any) -> Ended:
        if environment.path:
            project.settings["environment_variables"] = {"PYTHONPATH": environment.path[0]}
        output = project.folder / "job"
        request = Request(deployment=project.write(), input=project.inputs, output=output, workers=2, **options)
        resolved = resolve(request)
        progress = progress_for(io.StringIO())
        with closing(LocalBackend(node_init(resolved), environment.interpreter)) as backend, closing(progress):
            result = new_job(prepare(request, resolved), progress, backend)
        return Ended(result, Finished(result.exit_code, result.summary, result.cause, output))

    return score


@pytest.fixture(scope="session")
def job_models(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two models that the environment made."""
    folder = tmp_path_factory.mktemp("models")
    command = [str(environment.interpreter), "-I", str(HERE / "make_job_models.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


SCRIPT = """
    import os, sys
    from pathlib import Path
    from azureml_user.parallel_run import EntryScript

    def init():
        EntryScript().logger.info("worker of Python %d.%d" % sys.version_info[:2])

    def run(mini_batch):
        return [Path(path).read_text().strip() + " in " + os.path.basename(os.getcwd())[:6] for path in mini_batch]

    def shutdown():
        print("the end")
"""


def test_a_script_runs_under_the_environments_python(environment: Environment, score: Score, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", script=SCRIPT)
    project.files(3)
    ended = score(project)
    assert ended.result.exit_code == 0, ended.result
    assert ended.left.predictions == "0 in worker\n1 in worker\n2 in worker\n"
    assert f"worker of Python {environment.python}" in ended.left.log("user/entry_script_log/*/*")
    assert "the end" in ended.left.log("user/stdout/*/*")
    assert "forked" in ended.left.log("sys/node/*/*")


def test_what_scripts_do_wrong_is_told(score: Score, tmp_path: Path) -> None:
    script = """
        import os, time
        def run(mini_batch):
            name = os.path.basename(mini_batch[0])
            if name == "00.txt":
                raise KeyError("no such thing")
            if name == "01.txt":
                return None
            if name == "02.txt":
                os._exit(3)
            if name == "03.txt":
                time.sleep(60)
            return ["fine"]
    """
    settings = {"error_threshold": 4, "retry_settings": {"max_retries": 0, "timeout": 2}}
    project = Project(tmp_path / "project", script=script, settings=settings)
    project.files(5)
    ended = score(project)
    assert ended.result.exit_code == 0, ended.result
    assert ended.left.predictions == "fine\n"
    failures = {Path(record["file"]).name: record for record in ended.left.failures}
    kinds = {name: record["kind"] for name, record in failures.items()}
    assert kinds == {"00.txt": "raised", "01.txt": "wrong_type", "02.txt": "crashed", "03.txt": "timeout"}
    assert failures["00.txt"]["message"] == "KeyError: 'no such thing'"


def test_a_script_that_cannot_be_imported_is_refused(score: Score, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", script="import no_such_module\ndef run(mini_batch):\n    return []\n")
    project.files(1)
    ended = score(project)
    assert ended.result.refused
    assert "No module named 'no_such_module'" in ended.result.cause


TABLE = pd.DataFrame({"value": [0.5, 1 / 3, 1e-5], "count": [1, 2, 2**31 - 1], "more": ["a", "b", "c"]})
SUMS = [str(value) for value in TABLE["count"] + TABLE["value"]]


def test_the_driver_scores_csv_files(job_models: Path, score: Score, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", model=job_models / "table")
    for name in ("a.csv", "b.csv"):
        TABLE.to_csv(project.inputs / name, index=False)
    ended = score(project)
    assert ended.result.exit_code == 0, ended.result
    lines = [f"{row},{text},{name}\n" for name in ("a.csv", "b.csv") for row, text in enumerate(SUMS)]
    assert ended.left.predictions == "".join(lines)
    assert "forked" in ended.left.log("sys/node/*/*")


def test_the_driver_names_a_bad_value(job_models: Path, score: Score, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", model=job_models / "table")
    (project.inputs / "a.csv").write_text(f"count,value\n1,2\n{2**31},3\n")
    ended = score(project)
    assert ended.result.exit_code == 1
    assert "column 'count', row 1 (line 3): '2147483648' is out of range" in ended.result.cause


def test_the_driver_scores_parquet_files(
    environment: Environment, job_models: Path, score: Score, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", model=job_models / "table")
    TABLE.to_parquet(project.inputs / "a.parquet")
    ended = score(project)
    if environment.has_arrow or environment.has_fastparquet:
        assert ended.result.exit_code == 0, ended.result
        assert ended.left.predictions == "".join(f"{row},{text},a.parquet\n" for row, text in enumerate(SUMS))
    else:
        assert ended.result.exit_code == 1
        assert "Parquet files need pyarrow 6 or later" in ended.result.cause


def test_the_driver_scores_images(job_models: Path, score: Score, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", model=job_models / "image")
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for at in range(2):
        Image.fromarray(pixels + at).save(project.inputs / f"{at}.png")
    ended = score(project)
    assert ended.result.exit_code == 0, ended.result
    assert ended.left.predictions == "5.5,0.png\n6.5,1.png\n"


LOGGING = """
    import mlflow
    from azureml.core import Run

    def run(mini_batch, context):
        with mlflow.start_run():
            mlflow.log_param("kind", "echo")
            mlflow.log_metric("index", context.minibatch_index)
            with open("a.txt", "w") as stream:
                stream.write("hello")
            mlflow.log_artifact("a.txt")
        mlflow.log_metric("after", 1)
        mlflow.end_run()
        Run.get_context().log("first_sdk", 2)
        return mini_batch
"""


def test_what_mlflow_of_every_age_logs_is_read(environment: Environment, score: Score, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", script=LOGGING)
    project.files(3)
    conda = "environment.conda_file={dependencies: [pip, {pip: [azureml-core]}]}"
    ended = score(project, overrides=dict([conda.split("=", 1)]))
    assert ended.result.exit_code == 0, ended.result
    logged = LogReader(ended.left.output / "logs", 1)
    taken = logged.take()
    assert taken.params == {"kind": "echo"}
    points = sorted((point.key, point.value) for point in taken.points)
    expected = [("after", 1.0)] * 3 + [("first_sdk", 2.0)] * 3 + [("index", float(number)) for number in range(3)]
    assert points == sorted(expected)
    assert [artifact.path for artifact in logged.artifacts()] == ["a.txt"]
