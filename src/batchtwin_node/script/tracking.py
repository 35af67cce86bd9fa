"""What a script logs with MLflow goes to a file store of its worker; the controller reads it from there.

MLflow 1.26 to 3 write the same files, so the script's MLflow may be of another age than the one that shows the run. A
store of a worker's own needs no network, and two workers never write the same file.
"""

from __future__ import annotations

import json
import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, Optional

# Set by the controller: the id of the run, `NAME` or `-NAME`; with `-` no run is under way when the script starts.
RUN_VARIABLE = "BATCHTWIN_MLFLOW_RUN"
# Set by the node: the folder of the worker's store.
STORE_VARIABLE = "BATCHTWIN_MLFLOW_STORE"
# Below the folder of the user's logs.
FOLDER = "mlflow"
EXPERIMENT = "0"
RUN_FOLDERS = ("metrics", "params", "tags", "artifacts")


def start() -> None:
    """Make the store of this worker, and name it to MLflow, if the job wants that and MLflow is here.

    What the file system refuses is no reason to fail: MLflow then tells the script.
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
    """Return the folder of the job's run in this worker's store, made if it is missing; None if there is no store."""
    run, folder = os.environ.get(RUN_VARIABLE, "").lstrip("-"), os.environ.get(STORE_VARIABLE)
    if not run or not folder:
        return None
    place = Path(folder, EXPERIMENT, run)
    try:
        if not place.is_dir():
            make_store(Path(folder), run)
    except OSError:
        return None
    return place


def make_store(folder: Path, run: str) -> None:
    """Make a store with the default experiment and one run that is under way.

    Raises:
        OSError: the file system refuses.
    """
    experiment, now = folder / EXPERIMENT, int(time.time() * 1000)
    place = experiment / run
    for name in RUN_FOLDERS:
        (place / name).mkdir(parents=True, exist_ok=True)
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
        place,
        {
            "artifact_uri": (place / "artifacts").as_uri(),
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


def _write(folder: Path, facts: Dict[str, object]) -> None:
    (folder / "meta.yaml").write_text(json.dumps(facts), encoding="utf-8")  # JSON is YAML
