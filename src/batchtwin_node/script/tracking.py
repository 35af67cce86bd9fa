"""What a script logs with MLflow: a file store for each worker, which the controller reads.

MLflow 1.26 to 3 write the same files, so the script's MLflow may be older than the one that shows the run. A store for
each worker needs no network, and no file has two writers.
"""

from __future__ import annotations

import json
import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, Optional

# Set by the controller: the id of the run, `NAME` or `-NAME`; with `-` no run is active when the script starts.
RUN_VARIABLE = "BATCHTWIN_MLFLOW_RUN"
# Set by the node: the folder of the worker's store.
STORE_VARIABLE = "BATCHTWIN_MLFLOW_STORE"
# Below the folder of the user's logs.
FOLDER = "mlflow"
EXPERIMENT = "0"
RUN_FOLDERS = ("metrics", "params", "tags", "artifacts")


def start() -> None:
    """Make the store of this worker, and set it as MLflow's, if the job has one and MLflow is installed.

    If the file system refuses, MLflow itself reports that to the script.
    """
    run, folder = os.environ.get(RUN_VARIABLE), os.environ.get(STORE_VARIABLE)
    if not run or not folder or find_spec("mlflow") is None:
        return
    name = run.lstrip("-")
    try:
        make_store(Path(folder), name)
    except OSError:
        return
    if {"MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"} & set(os.environ):
        os.environ.update(MLFLOW_EXPERIMENT_ID=EXPERIMENT, MLFLOW_EXPERIMENT_NAME="Default")
    # MLflow 3.17 refuses file stores without it.
    os.environ.update(MLFLOW_TRACKING_URI=Path(folder).as_uri(), MLFLOW_ALLOW_FILE_STORE="true")
    if run == name:
        os.environ["MLFLOW_RUN_ID"] = name


def store_of_run() -> Optional[Path]:
    """Return the folder of the job's run in this worker's store, made if missing; None without a store."""
    run, folder = os.environ.get(RUN_VARIABLE, "").lstrip("-"), os.environ.get(STORE_VARIABLE)
    if not run or not folder:
        return None
    folder_of_run = Path(folder, EXPERIMENT, run)
    try:
        if not folder_of_run.is_dir():
            make_store(Path(folder), run)
    except OSError:
        return None
    return folder_of_run


def make_store(folder: Path, run: str) -> None:
    """Make a store with the default experiment and one active run.

    Raises:
        OSError: the file system refuses.
    """
    experiment, now = folder / EXPERIMENT, int(time.time() * 1000)
    folder_of_run = experiment / run
    for name in RUN_FOLDERS:
        (folder_of_run / name).mkdir(parents=True, exist_ok=True)
    _write(
        experiment,
        {
            "artifact_location": experiment.as_uri(),
            "creation_time": now,
            "experiment_id": EXPERIMENT,
            "last_update_time": now,
            "lifecycle_stage": "active",
            "name": "Default",
        },
    )
    _write(
        folder_of_run,
        {
            "artifact_uri": (folder_of_run / "artifacts").as_uri(),
            "end_time": None,
            "entry_point_name": "",
            "experiment_id": EXPERIMENT,
            "lifecycle_stage": "active",
            "name": "",
            "run_id": run,
            "run_name": run,
            "run_uuid": run,
            "source_name": "",
            "source_type": 4,
            "source_version": "",
            "start_time": now,
            "status": 1,
            "tags": [],
            "user_id": "batchtwin",
        },
    )


def _write(folder: Path, content: Dict[str, object]) -> None:
    (folder / "meta.yaml").write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
