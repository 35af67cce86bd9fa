"""A request to score -> everything that the job needs, or the reason to refuse it. Nothing is written here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

from batchtwin.engine.output import OutputFolder
from batchtwin.errors import UsageError
from batchtwin.scoring import entry_script, readers
from batchtwin.spec.deployment import Deployment
from batchtwin.spec.inputs import Inputs, check_supported, list_inputs
from batchtwin.spec.model import Model, find_model
from batchtwin.spec.plan import Plan


@dataclass(frozen=True)
class Request:
    """What the user asks for. Without `output` the job gets a folder of its own below `outputs/`."""

    deployment: Path
    input: Path
    model: Path | None = None
    output: Path | None = None
    workers: int | None = None
    overwrite: bool = False
    quarantine: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A job that may start. `script` is (code folder, path in it), None for the MLflow driver."""

    request: Request
    deployment: Deployment
    model: Model
    inputs: Inputs
    plan: Plan
    script: tuple[str, str] | None
    workers: int
    output: OutputFolder
    warnings: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder of the YAML, which its relative paths start from."""
        return self.request.deployment.absolute().parent


def prepare(request: Request) -> Prepared:
    """Check all that can be checked before scoring starts, without any heavy import.

    Raises:
        BatchTwinError: whatever makes the job impossible, by kind; the exit code is 2.
    """
    deployment = Deployment.load(request.deployment, request.overrides)
    folder = request.deployment.absolute().parent
    model = find_model(deployment, folder, request.model)
    script = _script(deployment, folder)
    inputs = list_inputs(request.input)
    if script is None:
        _check_driver(deployment, model, inputs, request.quarantine)
    content = [model.path, *([Path(script[0])] if script else [])]
    plan = Plan.make(deployment, inputs, content)
    workers, capped = _workers(request.workers, deployment, len(plan.mini_batches))
    settings = deployment.settings
    name = settings.output_file_name if settings.output_action == "append_row" else None
    output = OutputFolder((request.output or _fresh_folder(deployment.name)).absolute(), name)
    output.check(request.overwrite)
    warnings = (*inputs.warnings(), *capped)
    return Prepared(request, deployment, model, inputs, plan, script, workers, output, warnings)


def _script(deployment: Deployment, folder: Path) -> tuple[str, str] | None:
    code = deployment.code_configuration
    if code is None:
        return None
    base = (folder / code.code).resolve()
    entry_script.check(base, code.scoring_script)
    return str(base), code.scoring_script


def _check_driver(deployment: Deployment, model: Model, inputs: Inputs, quarantine: bool) -> None:
    """What the MLflow driver refuses: no pyfunc, nothing to write to, files that it cannot read [A, R]."""
    model.require_pyfunc()
    if deployment.settings.output_action == "summary_only":
        raise UsageError(
            "settings.output_action: 'summary_only' without a scoring script would write nothing; "
            "use append_row, or name a script in code_configuration"
        )
    if not quarantine:
        check_supported(inputs.files, readers.endings())


def _workers(asked: int | None, deployment: Deployment, mini_batches: int) -> tuple[int, list[str]]:
    """Return how many workers run, and a sentence if that is less than the deployment says for want of CPUs."""
    if asked is not None:
        return asked, []
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    useful = min(deployment.workers, mini_batches)
    if useful <= cpus:
        return useful, []
    return cpus, [
        f"{cpus} workers instead of {deployment.workers}: this machine has {cpus} CPUs (--workers N overrides)"
    ]


def _fresh_folder(name: str) -> Path:
    stamp = f"outputs/{name}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (Path(stamp if number == 1 else f"{stamp}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())
