"""Runs of a store of MLflow, read by a process of its own: MLflow's imports warn."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from commands import run_code
from support import DEADLINE

SHOW = """
import json, os, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
runs = []
for experiment in client.search_experiments():
    for found in client.search_runs([experiment.experiment_id]):
        folder = client.download_artifacts(found.info.run_id, "") if client.list_artifacts(found.info.run_id) else None
        files = [os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder or "/none")
                 for name in names]
        points = {key: len(client.get_metric_history(found.info.run_id, key)) for key in found.data.metrics}
        runs.append({"params": found.data.params, "points": points, "status": found.info.status, "files": files,
                     "who": found.data.tags.get("who"),
                     "datasets": {each.dataset.name: {tag.key: tag.value for tag in each.tags}
                                  for each in found.inputs.dataset_inputs}})
print(json.dumps(runs))
"""


def shown(uri: str, folder: Path) -> list[dict[str, Any]]:
    """All runs of a store, as MLflow gives them."""
    runs: list[dict[str, Any]] = json.loads(run_code(SHOW, [uri], folder, DEADLINE))
    return runs


@cache
def empty_database() -> bytes:
    """A database with MLflow's tables, made once: it takes MLflow seconds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        assert shown(f"sqlite:///{path}", path.parent) == []
        return path.read_bytes()


def new_store(path: Path) -> str:
    """Write a database of MLflow without a run; return its URI. Artifacts will be in `mlruns` beside it."""
    path.write_bytes(empty_database())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", [f"{path.parent}/mlruns/0"])
    return f"sqlite:///{path}"


def has_metrics(path: Path, names: Iterable[str], is_ended: bool = False) -> bool:
    """Whether the runs of a database have points of these metrics, and an end: asked often, while they are written."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        metrics = connection.execute("SELECT key FROM latest_metrics").fetchall()
        running = connection.execute("SELECT 1 FROM runs WHERE status = 'RUNNING'").fetchone()
    return {*names} <= {key for (key,) in metrics} and not (is_ended and running)
