"""What a script logs with MLflow in a container without network: in a folder that is read afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow_runs import shown

from support import Finished, Project

pytestmark = pytest.mark.container

SCRIPT = """
    import os, socket
    import mlflow

    def init():
        mlflow.log_param("kind", "container")

    def run(mini_batch):
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
            return ["a network"]
        except OSError:
            pass
        for path in mini_batch:
            # A store keeps one of two points with the same value in the same millisecond.
            mlflow.log_metric("bytes", sum(path.encode()))
            mlflow.log_text("scored", f"notes/{os.path.basename(path)}")
        mlflow.log_dict({"rows": 1}, "facts/rows.json")
        mlflow.set_tag("who", "test")
        return [os.path.basename(path) for path in mini_batch]
"""


@pytest.fixture
def logged(project: Project, image: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """A job in the image, of a caller who has a store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    project.files(3)
    project.script = SCRIPT
    return project.score("--image", image, "--engine", engine)


def test_what_a_script_logs_is_in_one_run_of_the_callers_store(logged: Finished, tmp_path: Path) -> None:
    assert (logged.code, logged.predictions) == (0, "00.txt\n01.txt\n02.txt\n"), logged.err
    (run,) = shown(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    assert (run["params"]["kind"], run["points"]["bytes"], run["who"]) == ("container", 3, "test")
    of_the_job = {"head-predictions.csv", "report.html"}
    assert {*run["files"]} - of_the_job == {"facts/rows.json", "notes/00.txt", "notes/01.txt", "notes/02.txt"}
    assert not (logged.output / "logs/user/mlflow").exists()


def test_without_a_store_it_is_counted_and_kept(project: Project, image: str, engine: str) -> None:
    project.files(1)
    project.script = SCRIPT
    done = project.score("--image", image, "--engine", engine)
    assert done.code == 0, done.err
    assert "MLflow: the job logged 1 parameter, 1 metric, 2 artifacts" in done.err
    assert any((done.output / "logs/user/mlflow").rglob("kind"))
