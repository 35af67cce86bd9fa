"""What to expect of the jobs of a deployment, as `batchtwin plan` shows it. Nothing is made, nothing runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.workspace.entities import DeploymentRecord

if TYPE_CHECKING:
    from batchtwin.deployment.schema import Deployment
    from batchtwin.environments.options import EnvironmentOptions

VARIABLE = "BATCHTWIN_ENV"


def warnings(deployment: DeploymentRecord, root: Path) -> tuple[str, ...]:
    """Return how the environment differs, what will be made, and probable mistakes in the script.

    `root` is the workspace's folder. What refuses a job is only a warning here: it may be fixed before the first job.
    """
    from batchtwin.errors import BatchTwinError
    from batchtwin.workspace.jobs.job_yaml import job_deployment

    spec = job_deployment(deployment, {})
    mistakes = _mistakes(spec)
    try:
        return (*_environment(spec, root), *mistakes)
    except BatchTwinError as error:
        return (f"jobs will be refused: {error}", *mistakes)


def environment_options() -> EnvironmentOptions:
    """Return where jobs of the workspace run: BATCHTWIN_ENV, as `--env`."""
    from batchtwin.environments.options import EnvironmentOptions

    return EnvironmentOptions(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else EnvironmentOptions()


def _environment(spec: Deployment, root: Path) -> tuple[str, ...]:
    from batchtwin.deployment.model import find_model
    from batchtwin.environments.placement import place

    model = find_model(spec, root)
    return place(spec, root, model, environment_options(), lambda _: None, may_build=False).all_warnings


def _mistakes(spec: Deployment) -> list[str]:
    """Return probable mistakes in the script, named as the deployment names it."""
    from batchtwin_node.script.lint import lint

    script = spec.code_configuration
    if script is None:
        return []
    path = Path(script.code, script.scoring_script)
    try:
        return [text.replace(str(path), script.scoring_script) for text in lint(path)]
    except (OSError, SyntaxError, ValueError) as error:
        return [f"{script.scoring_script}: cannot be read by Python here: {error}"]
