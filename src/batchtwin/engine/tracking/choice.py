"""Where the workers of a job log to: stores of their own, or a server that the user or the deployment names."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin_node.script.tracking import RUN_VARIABLE

if TYPE_CHECKING:
    from batchtwin.engine.prepare import Prepared

URI = "MLFLOW_TRACKING_URI"
REGISTRY = "MLFLOW_REGISTRY_URI"
# `off` saves a job the seconds that MLflow takes.
SWITCH = "BATCHTWIN_MLFLOW"
# MLflow 3 shows runs in only one of its two modes, this one; earlier versions ignore it.
MACHINE_LEARNING = "?workflowType=machine_learning"
# URIs that look like a path and are none.
DATABRICKS = ("databricks", "uc")
# A script that chooses an experiment, or another store, cannot use the job's run: MLflow refuses, or misses it.
CHOOSES = (b"set_experiment", b"set_tracking_uri")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,200}", re.ASCII)
_RELATIVE_SQLITE = re.compile(r"sqlite:///(?P<path>[^/].*)")
MOST_FILES, MOST_BYTES = 1000, 1 << 20


def is_local(uri: str) -> bool:
    """Whether a tracking URI is a file store or database file of this machine."""
    if uri.startswith(DATABRICKS):
        return False
    return "://" not in uri or uri.startswith(("file:", "sqlite:"))


def absolute(uri: str) -> str:
    """Return a tracking URI as it is seen from any folder."""
    if match := _RELATIVE_SQLITE.fullmatch(uri):
        return f"sqlite:///{os.path.abspath(match['path'])}"
    return uri if ":" in uri or not is_local(uri) else Path(uri).absolute().as_uri()


def tracking_variables(prepared: Prepared, machine: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for workers that log to stores of their own; none if they log to a server.

    `machine` holds the caller's variables. Registered models are still read from the caller's tracking URI.
    """
    if URI in prepared.deployment.settings.environment_variables:
        return {}
    uri = machine.get(URI)
    reaches_servers = prepared.request.ray is None and not prepared.request.environment.env.startswith("image:")
    if uri and not is_local(uri) and reaches_servers:
        return {}
    name = prepared.output.root.name
    run = name if _RUN_ID.fullmatch(name) else uuid.uuid4().hex
    chooses = prepared.script is not None and mentions(Path(prepared.script[0]), *CHOOSES)
    registry = {REGISTRY: absolute(uri)} if uri and REGISTRY not in machine else {}
    return {RUN_VARIABLE: f"-{run}" if chooses else run, **registry}


def mentions(folder: Path, *texts: bytes) -> bool:
    """Whether a Python file of the code contains one of the texts. Only the first files of a large folder are read."""
    for number, path in enumerate(sorted(folder.rglob("*.py"))):
        if number == MOST_FILES:
            break
        try:
            with path.open("rb") as stream:
                content = stream.read(MOST_BYTES)
                if any(text in content for text in texts):
                    return True
        except OSError:  # the script itself will fail on it
            continue
    return False
