"""Worker number n of a job -> a started process: its name, folder, environment and log files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from batchtwin.engine.logs import Logs
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.process import WorkerProcess
from batchtwin.spec.messages import WorkerSettings

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def worker_name(number: int, nodes: int) -> str:
    """`node/process`: workers are dealt to the job's nodes in turn."""
    return f"node{number % nodes}/process{number // nodes:03}"


def environment(prepared: Prepared, model_dir: Path) -> dict[str, str]:
    """Return the environment of the job's workers [A], the deployment's own variables last."""
    cpus = os.cpu_count() or 1
    threads = dict.fromkeys(THREAD_VARIABLES, str(max(1, cpus // prepared.workers)))
    return {
        **threads,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **os.environ,
        "AZUREML_MODEL_DIR": str(model_dir),
        "AZUREML_BI_OUTPUT_PATH": str(prepared.output.score),
        "AZUREML_RUN_ID": prepared.output.root.name,
        "AZUREML_NODE_COUNT": str(prepared.deployment.instance_count),
        "BATCHTWIN_CODE_DIR": prepared.script[0] if prepared.script else "",
        "BATCHTWIN_LOGGING_LEVEL": prepared.deployment.settings.logging_level.upper(),
        "BATCHTWIN_BAD_FILES": "quarantine" if prepared.request.quarantine else "fail",
        **prepared.deployment.settings.environment_variables,
    }


def model_dir(model: Path, scratch: Path) -> Path:
    """A folder that holds the model under its own name, and nothing beside it [A, R].

    The files are hard links where the file system can, else copies: MLflow refuses a model behind symbolic links.
    """
    folder = scratch / "azureml-models"
    source = model.resolve()
    if source.is_dir():
        shutil.copytree(source, folder / source.name, copy_function=_link_or_copy)
    else:
        folder.mkdir(parents=True)
        _link_or_copy(str(source), str(folder / source.name))
    return folder


def _link_or_copy(source: str, target: str) -> None:
    if not os.path.exists(source):
        return  # a link that leads nowhere
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


class Launcher:
    """Starts the workers of one job, each in a folder of its own [A].

    `run` numbers the runs of the job from 1: a segment is never written by two.
    """

    def __init__(self, prepared: Prepared, logs: Logs, run: int) -> None:
        self._run = run
        self._prepared = prepared
        self._logs = logs
        self._scratch = prepared.output.scratch
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._env = environment(prepared, model_dir(prepared.model.path, self._scratch))

    def __call__(self, number: int) -> WorkerProcess:
        """Start worker `number`, counted from 0 over the whole job, replacements included."""
        prepared = self._prepared
        name = worker_name(number, prepared.deployment.instance_count)
        folder = self._scratch / f"worker{number}"
        folder.mkdir(parents=True)
        settings = WorkerSettings(
            worker=name,
            segment=str(prepared.output.segments / f"run{self._run}-{name.replace('/', '-')}.segment"),
            script=prepared.script,
            logging_level=prepared.deployment.settings.logging_level,
            output_action=prepared.deployment.settings.output_action,
        )
        env = {**self._env, "BATCHTWIN_ENTRY_LOG": str(self._logs.entry_script_log(name))}
        out, err = self._logs.stream(name, "stdout"), self._logs.stream(name, "stderr")
        process = WorkerProcess(settings, env, folder, out, err)
        self._logs.started(name, process.pid)
        return process
