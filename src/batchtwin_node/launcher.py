"""Worker number n of a job -> a started process: its name, folder, environment and log files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from batchtwin.deployment.model import Model
from batchtwin.engine.logs import WorkerLogs
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Prepared, Resolved
from batchtwin_node.driver import prefetch as ahead
from batchtwin_node.forkserver_client import ForkServer
from batchtwin_node.pool import init_seconds
from batchtwin_node.process import WorkerProcess
from batchtwin_node.protocol import ForkServerConfig, JobContext, WorkerInit

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def worker_name(number: int, nodes: int) -> str:
    """`node/process`: workers are dealt to the job's nodes in turn."""
    return f"node{number % nodes}/process{number // nodes:03}"


def forkserver_environment(machine: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return what the workers' environments have in common: the machine's, one thread each, the deployment's own."""
    return {**dict.fromkeys(THREAD_VARIABLES, "1"), "MLFLOW_DISABLE_TELEMETRY": "true", **machine, **own}


def worker_environment(context: JobContext, machine: Mapping[str, str], cpus: float) -> dict[str, str]:
    """Return the environment of workers on a machine.

    Workers x threads = CPUs, unless the machine's environment or the deployment says otherwise.
    """
    threads = str(max(1, int(cpus // context.workers)))
    return {
        **forkserver_environment(machine, context.variables),
        **{name: threads for name in THREAD_VARIABLES if name not in machine},
        **context.environment,
    }


def environment(prepared: Prepared, model_dir: Path) -> dict[str, str]:
    """Return what a job adds to the environment of its workers [A], the deployment's own variables last."""
    own = prepared.deployment.settings.environment_variables
    return {
        "AZUREML_MODEL_DIR": str(model_dir),
        "AZUREML_BI_OUTPUT_PATH": str(prepared.output.score),
        "AZUREML_RUN_ID": prepared.output.root.name,
        "AZUREML_NODE_COUNT": str(prepared.deployment.instance_count),
        "BATCHTWIN_CODE_DIR": prepared.script[0] if prepared.script else "",
        "BATCHTWIN_LOGGING_LEVEL": prepared.deployment.settings.logging_level.upper(),
        "BATCHTWIN_BAD_FILES": "quarantine" if prepared.request.quarantine else "fail",
        "BATCHTWIN_COALESCE": "1" if prepared.request.coalesce else "",
        ahead.FOLDER: str(ahead_folder(prepared.output.scratch)),
        **own,
    }


def ahead_folder(scratch: Path) -> Path:
    """Where the tables are that were read ahead."""
    return scratch / "ahead"


def start_forkserver(resolved: Resolved) -> ForkServer:
    """Start to import what the workers of a job will need, while the job is still being prepared."""
    settings = resolved.deployment.settings
    return ForkServer(
        _preload(resolved.script, resolved.model, resolved.model.path),
        forkserver_environment(os.environ, settings.environment_variables),
        init_seconds(settings.retry_settings.timeout),
    )


def _preload(script: tuple[str, str] | None, model: Model, folder: Path) -> ForkServerConfig:
    loaded = str(folder) if script is None and model.flavors else None
    return ForkServerConfig(script=script, model=loaded, skops=model.skops)


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


def job_context(prepared: Prepared, run: int, key: str) -> JobContext:
    """Clear the working folders, put the model where workers find it, and say what the workers have in common.

    `run` numbers the runs of the job from 1: a segment is never written by two. `key` is this job's alone.
    """
    scratch = prepared.output.scratch
    shutil.rmtree(scratch, ignore_errors=True)
    models = model_dir(prepared.model.path, scratch)
    settings = prepared.deployment.settings
    return JobContext(
        key=key[:32],
        root=str(prepared.output.root),
        run=run,
        nodes=prepared.deployment.instance_count,
        workers=prepared.workers,
        timeout=settings.retry_settings.timeout,
        script=prepared.script,
        logging_level=settings.logging_level,
        output_action=settings.output_action,
        preload=_preload(prepared.script, prepared.model, models / prepared.model.path.resolve().name),
        inputs=prepared.model.inputs if prepared.script is None else "",
        variables=settings.environment_variables,
        environment=environment(prepared, models),
    )


def copies_folder(context: JobContext) -> Path:
    """Where this machine keeps copies of a job's input that lies in a store: below BATCHTWIN_COPIES, or its TMPDIR."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(os.environ.get("BATCHTWIN_COPIES") or tempfile.gettempdir()).absolute() / f"batchtwin-{user}"
    return folder / f"{context.key}-run{context.run}"


def drop_old_copies(context: JobContext) -> None:
    """Remove what earlier runs of this job, which were killed, left on this machine: it may be of another version."""
    own = copies_folder(context)
    for folder in own.parent.glob(f"{context.key}-run*"):
        if folder.name.partition("-node")[0] != own.name:
            shutil.rmtree(folder, ignore_errors=True)


class Launcher:
    """Starts workers of one job on this machine with `env`, each in a folder of its own [A].

    They are dealt to the nodes that the deployment speaks of, or are all of `node`, if that is given.
    """

    def __init__(
        self,
        context: JobContext,
        env: Mapping[str, str],
        logs: WorkerLogs,
        forkserver: ForkServer,
        node: int | None = None,
    ) -> None:
        self._context = context
        self._env = env
        self._logs = logs
        self._forkserver = forkserver
        self._node = node
        self._output = OutputFolder(Path(context.root), None)
        drop_old_copies(context)

    def __call__(self, number: int, env: Mapping[str, str] | None = None) -> WorkerProcess:
        """Start worker `number`, counted from 0, replacements included; `env` is for this one alone."""
        context = self._context
        name = worker_name(number, context.nodes) if self._node is None else f"node{self._node}/process{number:03}"
        file_name = name.replace("/", "-")
        where = "" if self._node is None else f"node{self._node}-"
        folder = self._output.scratch / f"{where}worker{number}"
        folder.mkdir(parents=True)
        settings = WorkerInit(
            worker=name,
            segment=str(self._output.segments / f"run{context.run}-{file_name}.segment"),
            script=context.script,
            logging_level=context.logging_level,
            output_action=context.output_action,
            copies=str(copies_folder(context)),
        )
        own = {**self._env, "BATCHTWIN_ENTRY_LOG": str(self._logs.entry_script_log(name)), **(env or {})}
        out, err = self._logs.stream(name, "stdout"), self._logs.stream(name, "stderr")
        process = WorkerProcess(settings, own, folder, out, err, self._forkserver)
        self._logs.started(
            name, process.pid, "forked" if process.is_forked else f"started by itself ({self._forkserver.why})"
        )
        return process
