"""A request to score -> everything that the job needs, or the reason to refuse it. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from batchtwin.deployment.model import Model, find_model
from batchtwin.deployment.schema import Deployment
from batchtwin.deployment.script import find_script
from batchtwin.deployment.yaml_file import key_location
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.checks import check_resolved, request_warnings
from batchtwin.engine.identity import Identity
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.output.remote import RemoteOutput
from batchtwin.environments.options import EnvironmentOptions
from batchtwin.errors import UsageError
from batchtwin.inputs.changes import content_hashes
from batchtwin.inputs.listing import InputFile, Inputs, check_supported, list_inputs
from batchtwin.inputs.location import is_url
from batchtwin.inputs.parts import NotSplittableError, Rows, bytes_per_part, split_into_parts, why_not_in_parts
from batchtwin.inputs.plan import Parts, Plan, file_hashes
from batchtwin_node import readers
from batchtwin_node.codec import value_object
from batchtwin_node.machine import cpus
from batchtwin_node.protocol import FilePart

if TYPE_CHECKING:
    from batchtwin.environments.named import Registered
    from batchtwin.environments.placement import Placement


@value_object
class Request:
    """What the user requests. Without `output` the job gets a folder of its own below `outputs/`. `ray` is a cluster,
    None for this machine; `environment` is what it runs in. Input and model may be URLs (texts); `publish` is the URL
    that gets the result. `warm`: an earlier job's fork server may serve this one, and this one's a later one.
    """

    deployment: Path
    # Text comes first: a text from a ledger has to stay text, because a Path makes one slash of two.
    input: str | Path
    model: str | Path | None = None
    output: Path | None = None
    publish: str | None = None
    workers: int | None = None
    overwrite: bool = False
    quarantine: bool = False
    hash_inputs: bool = False
    strict_inputs: bool = False
    coalesce: bool = False
    split_rows: Rows | None = None
    warm: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)
    ray: RayOptions | None = None
    environment: EnvironmentOptions = field(default_factory=EnvironmentOptions)

    @property
    def is_remote(self) -> bool:
        """Whether the input lies in a store."""
        return is_url(self.input)


requests: TypeAdapter[Request] = TypeAdapter(Request)
"""Requests as the ledger keeps them."""


@dataclass(frozen=True)
class Resolved:
    """What a request names, found and checked: everything but the input and the output.

    `folder` is the YAML's, which its relative paths start from; `script` is (code folder, path in it), None for the
    MLflow driver.
    """

    folder: Path
    deployment: Deployment
    model: Model
    script: tuple[str, str] | None

    @cached_property
    def identity(self) -> Identity:
        """Hash deployment, model and code, once.

        Raises:
            BatchTwinError: a file cannot be read.
        """
        return Identity.of(self.deployment, self.model.path, self.code_files)

    @cached_property
    def code_files(self) -> dict[str, str] | None:
        """The SHA-256 of each file of the code folder, by its name in it; None without a script.

        Raises:
            BatchTwinError: a file cannot be read.
        """
        return file_hashes(Path(self.script[0])) if self.script else None


@value_object
class Prepared:
    """A job that may start. `hashes` holds the SHA-256 of input paths, where they are kept; `environment` is where it
    runs, as text.
    """

    request: Request
    resolved: Resolved
    inputs: Inputs
    plan: Plan
    workers: int
    output: OutputFolder
    warnings: tuple[str, ...]
    hashes: Mapping[str, str]
    environment: str = ""

    @classmethod
    def of(
        cls,
        request: Request,
        resolved: Resolved,
        inputs: Inputs,
        plan: Plan,
        root: Path,
        hashes: Mapping[str, str],
        notes: Sequence[str] = (),
    ) -> Prepared:
        """Put together what is planned to run in the output folder `root`, with as many workers as may run."""
        deployment = resolved.deployment
        workers, capped = workers_for(request.workers, deployment, len(plan.mini_batches), request.ray)
        warnings = (*inputs.warnings(), *capped, *request_warnings(request, deployment), *notes)
        output = OutputFolder(root, deployment.output_file)
        return cls(request, resolved, inputs, plan, workers, output, warnings, hashes)

    def whole(self) -> Prepared:
        """Return the same job, with no file in parts."""
        plan = Plan.make(self.plan.files, self.deployment.settings.mini_batch_size, self.plan.fingerprint)
        whole = Prepared.of(self.request, self.resolved, self.inputs, plan, self.output.root, self.hashes)
        return replace(whole, environment=self.environment)

    def placed(self, placement: Placement) -> Prepared:
        """Return the job with its environment, and how that differs from the requested one."""
        return replace(self, environment=placement.text, warnings=(*placement.warnings, *self.warnings))

    @property
    def deployment(self) -> Deployment:
        """The deployment as its YAML and the overrides give it."""
        return self.resolved.deployment

    @property
    def model(self) -> Model:
        """The model on this machine."""
        return self.resolved.model

    @property
    def script(self) -> tuple[str, str] | None:
        """The scoring script: code folder and path in it; None for the MLflow driver."""
        return self.resolved.script

    @property
    def folder(self) -> Path:
        """The folder of the YAML."""
        return self.resolved.folder

    @property
    def identity(self) -> Identity:
        """The hashes of deployment, model and code."""
        return self.resolved.identity


def resolve(request: Request) -> Resolved:
    """Load the deployment, find its model and check its script.

    Raises:
        BatchTwinError: by kind.
    """
    deployment = Deployment.load(request.deployment, request.overrides)
    folder = request.deployment.absolute().parent
    location = key_location(request.deployment, ("model", "path"), request.overrides)
    model = find_model(deployment, folder, request.model, location)
    return Resolved(folder, deployment, model, find_script(deployment, request.deployment, request.overrides))


def prepare(request: Request, resolved: Resolved | None = None) -> Prepared:
    """Check everything that can be checked before scoring starts, without any slow import.

    `resolved` is the request, if it was resolved before.

    Raises:
        BatchTwinError: whatever makes the job impossible, by kind; the exit code is 2.
    """
    resolved = resolved or resolve(request)
    deployment = resolved.deployment
    if request.hash_inputs and request.is_remote:
        raise UsageError("--hash-inputs requires local files; a store has a version of each object")
    check_resolved(request, resolved)
    inputs = list_inputs(request.input)
    if resolved.script is None and not request.quarantine:
        check_supported(inputs.files, readers.endings())
    root = (request.output or fresh_folder(deployment.name)).absolute()
    OutputFolder(root, deployment.output_file).check(request.overwrite)
    if request.publish:
        RemoteOutput(request.publish).check(deployment.output_file, request.overwrite)
    fingerprint = resolved.identity.fingerprint(inputs.files)
    parts, notes = _parts(request, resolved, inputs.files)
    plan = Plan.make(inputs.files, deployment.settings.mini_batch_size, fingerprint, parts)
    hashes = {} if inputs.is_remote else content_hashes(inputs.files, every=request.hash_inputs)
    return Prepared.of(request, resolved, inputs, plan, root, hashes, notes)


def _parts(request: Request, resolved: Resolved, files: Sequence[InputFile]) -> tuple[Parts, list[str]]:
    """Return the parts of the files that are split, and a sentence if some cannot be."""
    if request.split_rows is None:
        return {}, []
    if reason := why_not_in_parts(resolved.model.inputs):
        return {}, [f"--split-rows: {reason}; whole files are scored"]
    part_bytes = bytes_per_part(sum(file.size for file in files), workers_of_parts(request, resolved.deployment))
    parts: dict[str, tuple[FilePart, ...]] = {}
    whole: list[str] = []
    for file in files:
        if request.split_rows == "auto" and file.size <= part_bytes:
            continue
        try:
            parts[file.path] = split_into_parts(file.path, request.split_rows, part_bytes)
        except NotSplittableError as error:
            whole.append(f"{file.name} is scored whole: {error}")
    more = f" (and {len(whole) - 1} more files)" if len(whole) > 1 else ""
    return {path: file_parts for path, file_parts in parts.items() if file_parts}, [
        f"--split-rows: {text}{more}" for text in whole[:1]
    ]


def workers_of_parts(request: Request, deployment: Deployment) -> int:
    """Return how many workers run if there are enough mini-batches for all."""
    return workers_for(request.workers, deployment, max(request.workers or 1, deployment.workers), request.ray)[0]


def place_request(
    request: Request,
    resolved: Resolved,
    note: Callable[[str], None],
    *,
    may_build: bool = True,
    registered: Registered | None = None,
) -> Placement:
    """Decide where the deployment runs, and make its environment if it needs one of its own.

    `registered` looks up environments of a workspace.

    Raises:
        BatchTwinError: the environment is refused, or cannot be made.
    """
    from batchtwin.environments.placement import place

    options = request.environment
    if request.ray is not None and options.kind == "image":
        raise UsageError(f"--env {options.env}: does not go with --pool ray; start the cluster in that image instead")
    where = (resolved.deployment, resolved.folder, resolved.model)
    return place(*where, options, note, may_build=may_build, registered=registered)


def workers_for(
    requested: int | None, deployment: Deployment, mini_batches: int, ray: RayOptions | None = None
) -> tuple[int, list[str]]:
    """Return how many workers run, and a sentence if too few CPUs make that less than the deployment says."""
    if requested is not None:
        return min(requested, mini_batches), []
    if ray and ray.address:
        return min(deployment.workers, mini_batches), []
    available = cpus()
    useful = min(deployment.workers, mini_batches)
    if useful <= available:
        return useful, []
    count = "only 1 CPU is" if available == 1 else f"only {available} CPUs are"
    workers = "1 worker" if available == 1 else f"{available} workers"
    return available, [f"using {workers} instead of {deployment.workers}: {count} available (--workers N overrides)"]


def fresh_folder(name: str) -> Path:
    """Return a new folder below `outputs/` for a job of the deployment `name`; it is not made yet."""
    stamp = f"outputs/{name}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (Path(stamp if number == 1 else f"{stamp}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())
