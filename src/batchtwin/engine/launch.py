"""Worker number n of a job -> a started process: its name, folder, environment and log files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from batchtwin.engine.ahead import Ahead
from batchtwin.engine.logs import Logs
from batchtwin.engine.pool import init_seconds
from batchtwin.engine.prepare import Asked, Prepared
from batchtwin.engine.process import WorkerProcess
from batchtwin.engine.template import Template
from batchtwin.scoring import ahead
from batchtwin.spec.deployment import Deployment
from batchtwin.spec.inputs import InputFile
from batchtwin.spec.messages import Preload, WorkerSettings

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def worker_name(number: int, nodes: int) -> str:
    """`node/process`: workers are dealt to the job's nodes in turn."""
    return f"node{number % nodes}/process{number // nodes:03}"


def template_environment(deployment: Deployment) -> dict[str, str]:
    """Return what the workers' environments have in common, one thread each, the deployment's variables last."""
    return {
        **dict.fromkeys(THREAD_VARIABLES, "1"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **os.environ,
        **deployment.settings.environment_variables,
    }


def environment(prepared: Prepared, model_dir: Path) -> dict[str, str]:
    """Return the environment of the job's workers [A], the deployment's own variables last.

    Workers x threads = CPUs, unless the caller or the deployment says otherwise.
    """
    own = prepared.deployment.settings.environment_variables
    threads = str(max(1, (os.cpu_count() or 1) // prepared.workers))
    return {
        **template_environment(prepared.deployment),
        **{name: threads for name in THREAD_VARIABLES if name not in os.environ},
        "AZUREML_MODEL_DIR": str(model_dir),
        "AZUREML_BI_OUTPUT_PATH": str(prepared.output.score),
        "AZUREML_RUN_ID": prepared.output.root.name,
        "AZUREML_NODE_COUNT": str(prepared.deployment.instance_count),
        "BATCHTWIN_CODE_DIR": prepared.script[0] if prepared.script else "",
        "BATCHTWIN_LOGGING_LEVEL": prepared.deployment.settings.logging_level.upper(),
        "BATCHTWIN_BAD_FILES": "quarantine" if prepared.request.quarantine else "fail",
        "BATCHTWIN_COALESCE": "1" if prepared.request.coalesce else "",
        **own,
    }


def start_template(asked: Asked) -> Template:
    """Start to import what the workers of a job will need, while the job is still being prepared."""
    settings = asked.deployment.settings
    model = str(asked.model.path) if asked.script is None and asked.model.flavors else None
    return Template(
        Preload(script=asked.script, model=model),
        template_environment(asked.deployment),
        init_seconds(settings.retry_settings.timeout),
    )


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

    def __init__(self, prepared: Prepared, logs: Logs, run: int, template: Template) -> None:
        self._run = run
        self._template = template
        self._prepared = prepared
        self._logs = logs
        self._scratch = prepared.output.scratch
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._env = environment(prepared, model_dir(prepared.model.path, self._scratch))
        self._ahead: Ahead | None = None

    def read_ahead(self, files: Sequence[InputFile]) -> None:
        """Read files, in this order, as long as the template has not settled and there is no worker to do so."""
        if not self._template.settled:
            self._ahead = Ahead.start(self._prepared, files, self._scratch / "ahead", self._template.env)
            if self._ahead is not None:
                self._env[ahead.FOLDER] = str(self._scratch / "ahead")

    def close(self) -> None:
        """End what reads ahead; the workers are the pool's."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def __call__(self, number: int) -> WorkerProcess:
        """Start worker `number`, counted from 0 over the whole job, replacements included."""
        self.close()  # workers read for themselves
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
        process = WorkerProcess(settings, env, folder, out, err, self._template)
        self._logs.started(
            name, process.pid, "forked" if process.is_forked else f"started by itself ({self._template.why})"
        )
        return process
