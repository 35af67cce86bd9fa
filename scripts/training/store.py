"""Where a training is logged: the MLflow store of the local workspace, which has the runs of its jobs too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True)
class TrackingStore:
    """An MLflow tracking URI. `artifacts` is the folder for the files of a local database, None for MLflow to choose;
    `lock` is held by whoever may be the first to open that database.
    """

    uri: str
    artifacts: Path | None = None
    lock: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether the store is a database file on this machine."""
        return self.uri.startswith("sqlite:")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Let no other process open the database for the first time meanwhile."""
        from batchtwin.locks import hold

        with hold(self.lock) if self.lock else nullcontext():
            yield


def store_of(uri: str | None, artifacts: Path) -> TrackingStore:
    """Return the store with this URI, else that of MLFLOW_TRACKING_URI, else the workspace's, which is made if missing.

    Raises:
        BatchTwinError: the workspace cannot be opened.
    """
    uri = uri or os.environ.get(VARIABLE)
    if uri:
        return TrackingStore(uri, artifacts if uri.startswith("sqlite:") else None)
    from batchtwin.workspace.workspace import Workspace

    with Workspace.open() as workspace:
        root = workspace.root
        return TrackingStore(workspace.jobs.mlflow_uri(), root / "mlartifacts", root / ".mlflow.lock")


def note_run(folder: Path, run_id: str) -> None:
    """Write the run that made a model into its MLmodel file, as MLflow does for a model that a run logs."""
    from mlflow.models import Model

    model = Model.load(str(folder))
    model.run_id = run_id
    model.save(str(folder / "MLmodel"))


def uuid_of(folder: Path) -> str:
    """Return the identity that MLflow gave a model."""
    from mlflow.models import Model

    return str(Model.load(str(folder)).model_uuid)
