"""What an MLflow run of the workspace logged, by the addresses from which a model can be registered [A].

Source: "Manage models registry" of Azure ML: `runs:/RUN/PATH`, and `azureml://jobs/RUN/outputs/artifacts/paths/PATH`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from batchtwin.deployment.reference import InvalidReferenceError, JobOutputPath, is_reference, parse_reference
from batchtwin.redaction import hide
from batchtwin.subprocesses import collect_rarely, module_command
from batchtwin.workspace.errors import InvalidError

ARTIFACTS = "artifacts"
_RUNS = re.compile(r"runs:/+(?P<run>[A-Za-z0-9][A-Za-z0-9_-]{0,99})/(?P<path>.+)", re.DOTALL)


def parse_run_path(address: str) -> tuple[str, str] | None:
    """Return the run and the path in it that an address names; None for another address.

    Raises:
        InvalidError: it leads out of the run.
    """
    if match := _RUNS.fullmatch(address):
        run, path = match["run"], match["path"].strip("/")
    elif is_reference(address):
        try:
            reference = parse_reference(address)
        except InvalidReferenceError:
            return None
        if not isinstance(reference, JobOutputPath) or reference.output != ARTIFACTS:
            return None
        run, path = reference.job, reference.path
    else:
        return None
    if ".." in PurePosixPath(path).parts or "\0" in path:
        raise InvalidError(f"{address}: leads out of the run")
    return run, path


@contextmanager
def run_artifacts(address: str, tracking: str) -> Iterator[Path | None]:
    """Yield a copy of what an address of a run names, until the end of the block; None for another address.

    Raises:
        InvalidError: the store `tracking` has no such run, or the run no such artifact, or MLflow is not installed.
    """
    names = parse_run_path(address)
    if names is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="batchtwin-run-") as folder:
        yield _download(address, tracking, names, folder)


def _download(address: str, tracking: str, names: tuple[str, str], folder: str) -> Path:
    """Fetch it in a separate process: MLflow takes seconds to import, and its store is a setting of the process."""
    variables = {
        "MLFLOW_TRACKING_URI": tracking,
        "MLFLOW_REGISTRY_URI": tracking,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    words = module_command(__name__, *names, folder, warns=False)
    done = subprocess.run(words, env={**os.environ, **variables}, cwd=folder, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise InvalidError(f"{address}: {last[0]}; the workspace's store is {tracking}")
    return Path(folder, "model")


def main(run: str, path: str, folder: str) -> str:
    """Fetch `path` of a run to `folder/model`; return why that failed, empty if it did not."""
    collect_rarely()
    try:
        from mlflow.artifacts import download_artifacts
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        return f"needs MLflow beside batchtwin: pip install mlflow ({error})"
    try:
        MlflowClient().get_run(run)
    except Exception as error:
        return f"no run {run}: {_line(error)}"
    try:
        local = Path(download_artifacts(f"runs:/{run}/{path}", dst_path=folder))
        if path and (local.is_file() or any(local.iterdir())):
            local.rename(Path(folder, "model"))
            return ""
        return f"run {run} has no artifact {path or '.'}; give the path of a model in it"
    except Exception as error:
        return f"run {run} has no such artifact: {_line(error)}"


def _line(error: Exception) -> str:
    return " ".join(hide(str(error)).split())[:300]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
