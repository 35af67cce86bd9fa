"""A prepared job -> what its workers have in common; the model is put where they find it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from batchtwin import safe_open
from batchtwin.deployment.model import Model
from batchtwin.engine.prepare import Prepared, Resolved
from batchtwin.engine.tracking.choice import mentions, tracking_variables
from batchtwin.environments.requested import requested_environment
from batchtwin.errors import BatchTwinError
from batchtwin_node.protocol import ForkServerConfig, JobContext, NodeInit
from batchtwin_node.script.azureml_core import EXPERIMENT_VARIABLE, MODEL_VARIABLE, STAND_IN_VARIABLE
from batchtwin_node.script.context import SIZE_VARIABLE

# Variables of the first SDK, and the packages that bring it.
FIRST_SDK = b"azureml.core"
FIRST_SDK_PACKAGES = frozenset({"azureml-core", "azureml-defaults", "azureml-sdk", "azureml-pipeline"})


def node_init(resolved: Resolved) -> NodeInit:
    """Return the first message to a node: with it the node imports while the job is prepared."""
    settings = resolved.deployment.settings
    preload = _preload(resolved.script, resolved.model, resolved.model.path)
    return NodeInit("", preload, settings.environment_variables, settings.retry_settings.timeout)


def _preload(script: tuple[str, str] | None, model: Model, folder: Path) -> ForkServerConfig:
    loaded = str(folder) if script is None and model.flavors else None
    return ForkServerConfig(script=script, model=loaded, skops=model.skops)


def job_variables(prepared: Prepared, models: Path) -> dict[str, str]:
    """Return what a job adds to the environment of its workers [A], the deployment's own variables last."""
    variables = prepared.deployment.settings.environment_variables
    return {
        "AZUREML_MODEL_DIR": str(models),
        "AZUREML_BI_OUTPUT_PATH": str(prepared.output.score),
        "AZUREML_RUN_ID": prepared.output.root.name,
        "AZUREML_NODE_COUNT": str(prepared.deployment.instance_count),
        "BATCHTWIN_CODE_DIR": prepared.script[0] if prepared.script else "",
        "BATCHTWIN_LOGGING_LEVEL": prepared.deployment.settings.logging_level.upper(),
        "BATCHTWIN_BAD_FILES": "quarantine" if prepared.request.quarantine else "fail",
        "BATCHTWIN_COALESCE": "1" if prepared.request.coalesce else "",
        SIZE_VARIABLE: str(prepared.deployment.settings.mini_batch_size),
        **tracking_variables(prepared, os.environ),
        **_first_sdk_variables(prepared),
        **variables,
    }


def _first_sdk_variables(prepared: Prepared) -> dict[str, str]:
    """Return the variables for `azureml.core`, for a script that uses it."""
    if prepared.script is None or not mentions(Path(prepared.script[0]), FIRST_SDK):
        return {}
    experiment = os.environ.get(EXPERIMENT_VARIABLE) or prepared.deployment.endpoint_name
    return {
        MODEL_VARIABLE: prepared.deployment.model_name,
        EXPERIMENT_VARIABLE: experiment,
        STAND_IN_VARIABLE: "1" if _lists_first_sdk(prepared) else "",
    }


def _lists_first_sdk(prepared: Prepared) -> bool:
    """Whether the deployment's environment has azureml-core, by its own name or by that of a package that needs it."""
    with suppress(BatchTwinError):
        requested = requested_environment(prepared.deployment, prepared.folder, prepared.model.path)
        return requested is not None and any(line.name in FIRST_SDK_PACKAGES for line in requested.expanded())
    return False


def model_dir(model: Path, folder: Path) -> Path:
    """Make `folder` hold the model under its own name, and nothing else [A, R].

    The files are hard links where the file system has them, else copies: MLflow refuses a model behind symbolic links.
    So the folder lies where no container can write.
    """
    source = model.resolve()
    if source.is_dir():
        shutil.copytree(source, folder / source.name, copy_function=_link_or_copy)
    else:
        folder.mkdir(parents=True)
        _link_or_copy(str(source), str(folder / source.name))
    return folder


def _link_or_copy(source: str, target: str) -> None:
    if not os.path.exists(source):
        return  # a dangling link
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


def job_context(prepared: Prepared, run: int, key: str) -> JobContext:
    """Clear the working folders, put the model where workers find it, and return what the workers have in common.

    `run` numbers the runs of the job from 1: no segment is written by two runs. `key` is this job's alone.
    """
    for folder in (prepared.output.scratch, prepared.output.models):
        safe_open.remove(folder, prepared.output.root, ignore_errors=True)
    models = model_dir(prepared.model.path, prepared.output.models)
    prepared.output.scratch.mkdir()
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
        environment=job_variables(prepared, models),
    )
