"""A request to score -> everything that the job needs, or the reason to refuse it. Nothing is written here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

from batchtwin.deployment.model import Model, find_model
from batchtwin.deployment.schema import Deployment
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.identity import Identity
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.output.remote import RemoteOutput
from batchtwin.errors import UsageError
from batchtwin.inputs.listing import InputFile, Inputs, check_supported, list_inputs
from batchtwin.inputs.location import is_url
from batchtwin.inputs.plan import Plan, content_hash
from batchtwin_node import readers
from batchtwin_node.errors import NodeError
from batchtwin_node.script import entry_script

COALESCED = "--coalesce: one predict for the files of a mini-batch; the service calls predict once per file"


@dataclass(frozen=True)
class Request:
    """What the user asks for. Without `output` the job gets a folder of its own below `outputs/`; `ray` is where to
    run, None for this machine. Input and model may be URLs (texts); `publish` is the URL that gets the result.
    """

    deployment: Path
    # Text comes first: what is read from a ledger is to stay a text, for a Path makes one slash of two.
    input: str | Path
    model: str | Path | None = None
    output: Path | None = None
    publish: str | None = None
    workers: int | None = None
    overwrite: bool = False
    quarantine: bool = False
    hash_inputs: bool = False
    coalesce: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)
    ray: RayOptions | None = None


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
    identity: Identity
    hashes: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The folder of the YAML, which its relative paths start from."""
        return self.request.deployment.absolute().parent


def prepare(request: Request, asked: Asked | None = None) -> Prepared:
    """Check all that can be checked before scoring starts, without any heavy import. `asked` spares asking again.

    Raises:
        BatchTwinError: whatever makes the job impossible, by kind; the exit code is 2.
    """
    asked = asked or ask(request)
    if request.hash_inputs and is_url(request.input):
        raise UsageError("--hash-inputs is for files here; objects of a store are known by the version that it tells")
    inputs = list_inputs(request.input)
    if asked.script is None:
        _check_driver(asked.deployment, asked.model, inputs.files, request.quarantine)
    else:
        _refuse_driver_options(request)
    settings = asked.deployment.settings
    name = settings.output_file_name if settings.output_action == "append_row" else None
    output = OutputFolder((request.output or _fresh_folder(asked.deployment.name)).absolute(), name)
    output.check(request.overwrite)
    if request.publish:
        RemoteOutput(request.publish).check(name, request.overwrite)
    identity = asked.identity()
    plan = Plan.make(inputs.files, settings.mini_batch_size, identity.fingerprint(inputs.files))
    workers, capped = workers_for(request.workers, asked.deployment, len(plan.mini_batches), request.ray)
    hashes = {file.path: content_hash(Path(file.path)) for file in inputs.files} if request.hash_inputs else {}
    return Prepared(
        request=request,
        deployment=asked.deployment,
        model=asked.model,
        inputs=inputs,
        plan=plan,
        script=asked.script,
        workers=workers,
        output=output,
        warnings=(*inputs.warnings(), *capped, *([COALESCED] if request.coalesce else [])),
        identity=identity,
        hashes=hashes,
    )


def _refuse_driver_options(request: Request) -> None:
    for option, is_given in (("--coalesce", request.coalesce), ("--bad-files quarantine", request.quarantine)):
        if is_given:
            raise UsageError(
                f"{option} is for the MLflow driver; this deployment brings a scoring script, which reads and predicts"
            )


@dataclass(frozen=True)
class Asked:
    """What a request names, found and checked: all but the input and the output."""

    deployment: Deployment
    model: Model
    script: tuple[str, str] | None

    def identity(self) -> Identity:
        """Hash deployment, model and code."""
        return Identity.of(self.deployment, self.model.path, Path(self.script[0]) if self.script else None)


def ask(request: Request) -> Asked:
    """Load the deployment, find its model and check its script.

    Raises:
        BatchTwinError: by kind.
    """
    deployment = Deployment.load(request.deployment, request.overrides)
    folder = request.deployment.absolute().parent
    return Asked(deployment, find_model(deployment, folder, request.model), _script(deployment, folder))


def _script(deployment: Deployment, folder: Path) -> tuple[str, str] | None:
    code = deployment.code_configuration
    if code is None:
        return None
    base = (folder / code.code).resolve()
    try:
        entry_script.check(base, code.scoring_script)
    except NodeError as error:
        raise UsageError(str(error)) from None
    return str(base), code.scoring_script


def _check_driver(deployment: Deployment, model: Model, files: Sequence[InputFile], quarantine: bool) -> None:
    """What the MLflow driver refuses: no pyfunc, nothing to write to, files that it cannot read [A, R]."""
    model.require_pyfunc()
    if deployment.settings.output_action == "summary_only":
        raise UsageError(
            "settings.output_action: 'summary_only' without a scoring script would write nothing; "
            "use append_row, or name a script in code_configuration"
        )
    if not quarantine:
        check_supported(files, readers.endings())


def workers_for(
    asked: int | None, deployment: Deployment, mini_batches: int, ray: RayOptions | None = None
) -> tuple[int, list[str]]:
    """Return how many workers run, and a sentence if that is less than the deployment says for want of CPUs."""
    if asked is not None:
        return min(asked, mini_batches), []
    if ray and ray.address:
        return min(deployment.workers, mini_batches), []
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
