"""Where a deployment runs: here, in an environment of its own, in one that the user names, or in an image."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from batchtwin.deployment.model import Model
from batchtwin.deployment.schema import Deployment, InlineEnvironment
from batchtwin.environments import named
from batchtwin.environments.cache import Environment, cache_folder, load
from batchtwin.environments.differences import left_behind, may_be_silently_wrong, mismatches, saved_version_mismatches
from batchtwin.environments.installed import Installed, from_lock, installed_in
from batchtwin.environments.named import Registered
from batchtwin.environments.options import EnvironmentOptions
from batchtwin.environments.requested import (
    HERE,
    MINORS,
    RequestedEnvironment,
    RequestedEnvironmentError,
    requested_environment,
    with_model,
)
from batchtwin.errors import UsageError
from batchtwin_node.codec import value_object

# Files of a model that Python itself reads: their code objects are of one minor version of Python.
PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle"}
# A reference of an image: NAME, HOST:PORT/NAME:TAG, NAME@sha256:DIGEST, or an id.
IMAGE_TAG = re.compile(r"[A-Za-z0-9][\w./:@-]*", re.ASCII)
# Requirements whose library reads Parquet.
READS_PARQUET = re.compile(r"\s*(mlflow|pyarrow|fastparquet)(?![\w.-])", re.IGNORECASE)
Note = Callable[[str], None]


@value_object
class Placement:
    """The decision. `python` is the interpreter, None for this one; `image` the tag, if it is an image.

    `differences` are sentences on how it differs from what is requested; `warnings` are for the user. `would_build`
    says what is still to be made. `identity` is what a resumed job has to find again; of an environment still to be
    made, its beginning. `environment` is the cached one, made from `requested`.
    """

    kind: Literal["here", "venv", "path", "image"]
    python: Path | None = None
    image: str = ""
    differences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    identity: str = ""
    would_build: str = ""
    environment: Environment | None = None
    requested: RequestedEnvironment | None = None

    @property
    def reads_parquet(self) -> bool:
        """Whether it surely reads Parquet: MLflow brings pyarrow, its skinny package does not."""
        if self.kind == "here":
            return find_spec("pyarrow") is not None
        lines = (*self.requested.pip, *self.requested.conda) if self.requested else ()
        return any(READS_PARQUET.match(line) for line in lines)

    def use(self) -> int | None:
        """Protect the cached environment, if it is one, from removal until the returned descriptor is closed.

        Raises:
            UsageError: it was removed just now.
        """
        return None if self.environment is None else self.environment.use()

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """The warnings, and what is still to be made: all that a user has to know before a job."""
        build = f"environment: the first job makes one of its own: {self.would_build}"
        return (*self.warnings, *([build] if self.would_build else []))

    @property
    def text(self) -> str:
        """Where it runs, as text."""
        if self.would_build:
            return f"one of its own, to be built: {self.would_build}"
        places = {"here": f"here, Python {HERE}", "image": f"image {self.image}"}
        return places.get(self.kind, f"{self.python}")


def place(
    deployment: Deployment,
    folder: Path,
    model: Model,
    options: EnvironmentOptions,
    note: Note,
    *,
    may_build: bool = True,
    registered: Registered | None = None,
) -> Placement:
    """Decide, and make the environment if one of its own is needed and `may_build`.

    `folder` is the YAML's. `note` gets sentences on what is made. `registered` looks up environments of a workspace.

    Raises:
        BatchTwinError: the environment is refused, or cannot be made.
    """
    if options.kind == "image":
        if not IMAGE_TAG.fullmatch(options.image):
            raise UsageError(f"--env {options.env}: expected the tag or id of an image, as image:python:3.11")
        return Placement("image", image=options.image, identity=f"image {options.image}")
    requested, unknown = requested_or_reason(deployment, folder, model, registered)
    if options.strict and unknown:
        raise RequestedEnvironmentError(f"environment: {unknown}")
    placement = _place(deployment, model, options, note, may_build, requested, unknown)
    return replace(placement, warnings=(*left_behind(deployment, requested), *placement.warnings))


def _place(
    deployment: Deployment,
    model: Model,
    options: EnvironmentOptions,
    note: Note,
    may_build: bool,
    requested: RequestedEnvironment | None,
    unknown: str,
) -> Placement:
    # The packages of an image in the YAML are unknown; a user who says where to run has decided about that.
    unchecked = (f"environment: {unknown}",) if unknown and isinstance(deployment.environment, str) else ()
    if options.kind == "path":
        placement = _at_path(options, requested, model)
        return _checked(replace(placement, warnings=(*unchecked, *placement.warnings)), options)
    if options.kind == "venv":
        if requested is None:
            raise RequestedEnvironmentError(f"environment: {unknown or 'nothing says what to install'}")
        return _venv(requested, options, note, may_build)
    differences = tuple(mismatches(requested)) if requested else ()
    if options.kind == "auto":
        if requested and (differences or (options.python and requested.minor(options.python) != HERE)):
            return _venv(requested, options, note, may_build, differences)
        warnings = (f"environment: {unknown}; the job runs here",) if unknown else _version_warnings(requested)
        return Placement("here", warnings=warnings, identity=f"here, Python {HERE}")
    _refuse_silently_wrong(requested, model, options, None)
    warnings = (*unchecked, *_version_warnings(requested, None, differences))
    placement = Placement("here", differences=differences, warnings=warnings, identity=f"here, Python {HERE}")
    return _checked(placement, options)


def requested_or_reason(
    deployment: Deployment, folder: Path, model: Model, registered: Registered | None = None
) -> tuple[RequestedEnvironment | None, str]:
    """Return what is requested, or a sentence on why that is unknown; both are empty if nothing is requested.

    Raises:
        BatchTwinError: a file that says it cannot be read.
    """
    environment = deployment.environment
    if isinstance(environment, str):
        definition = named.look_up(environment, folder, registered)
        if definition is None:
            return None, f"'{environment}' cannot be checked: {named.advice(environment)}"
        if definition.requested is None and definition.image is None:
            return None, f"'{environment}' is a build context; build it and run in it: --env image:TAG"
        if definition.requested is None:
            return None, f"'{environment}' is image {definition.image}; run in it: --env image:{definition.image}"
        return with_model(definition.requested, model.path), ""
    requested = requested_environment(deployment, folder, model.path)
    if requested is None and isinstance(environment, InlineEnvironment):
        if environment.image:
            return None, f"image {environment.image} cannot be checked; run in it: --env image:{environment.image}"
        return None, "a build context cannot be checked; build it and run in it: --env image:TAG"
    return requested, ""


def _checked(placement: Placement, options: EnvironmentOptions) -> Placement:
    """Refuse differences with `strict`, else return them as warnings."""
    texts = tuple(f"environment: {text}" for text in placement.differences)
    if texts and options.strict:
        raise RequestedEnvironmentError("\n".join(texts))
    return replace(placement, warnings=(*placement.warnings, *texts))


def _version_warnings(
    requested: RequestedEnvironment | None, installed: Installed | None = None, differences: tuple[str, ...] = ()
) -> tuple[str, ...]:
    texts = saved_version_mismatches(requested, installed, differences) if requested else []
    return tuple(f"environment: {text}" for text in texts)


def _at_path(options: EnvironmentOptions, requested: RequestedEnvironment | None, model: Model) -> Placement:
    path = Path(options.env).expanduser().absolute()
    python = path / "bin/python" if path.is_dir() else path
    if not python.is_file():
        lacks = f"; {path} has no bin/python that leads to one" if path.is_dir() else ""
        raise UsageError(
            f"--env {options.env}: expected auto, here, venv, image:TAG, or the folder of a venv or conda environment"
            f"{lacks}"
        )
    installed = installed_in(python)
    if installed.python_minor not in MINORS:
        raise UsageError(
            f"--env {options.env}: has Python {installed.python}; deployments run under {MINORS[0]} to {MINORS[-1]}"
        )
    _refuse_silently_wrong(requested, model, options, installed)
    differences = tuple(mismatches(requested, installed)) if requested else ()
    identity = f"{python}, Python {installed.python_minor}"
    warnings = _version_warnings(requested, installed, differences)
    return Placement(
        "path",
        python,
        differences=differences,
        warnings=warnings,
        identity=identity,
        environment=_cached(path),
    )


def _cached(path: Path) -> Environment | None:
    """Return the environment of the cache at a path: a job holds it, however it was named."""
    environment = load(path) if path.parent == cache_folder() else None
    if environment is not None:
        environment.touch()
    return environment


def _venv(
    requested: RequestedEnvironment,
    options: EnvironmentOptions,
    note: Note,
    may_build: bool,
    differences: tuple[str, ...] = (),
) -> Placement:
    from batchtwin.environments.venv import EnvironmentBuildError, build, check_python, existing, key_of

    python = requested.minor(options.python)
    check_python(requested, options.python)
    environment = existing(requested, python)
    if environment is None and differences:
        more = f" (and {len(differences) - 1} more)" if differences[1:] else ""
        note(f"The deployment gets an environment of its own, for here {differences[0]}{more}")
    if environment is None and not may_build:
        text = f"Python {python}, {len(requested.packages())} requested packages ({requested.source})"
        # Not running here is no warning: it will run in the requested environment.
        identity = f"venv {key_of(requested, python)}"
        return Placement("venv", differences=differences, would_build=text, identity=identity)
    try:
        environment = build(requested, python, note, allow_builds=options.allow_builds)
    except EnvironmentBuildError as error:
        raise EnvironmentBuildError(f"{error}{_another_python(requested, python)}; or run here: --env here") from None
    digest = hashlib.sha256(environment.lock.encode()).hexdigest()[:16]
    left_out = tuple(f"environment: {line} was left out" for line in environment.record.left_out)
    if left_out and options.strict:
        raise RequestedEnvironmentError("\n".join(left_out))
    warnings = left_out + _version_warnings(requested, from_lock(environment.record.python, environment.lock))
    identity = f"venv {environment.record.key} {digest}"
    return Placement(
        "venv",
        environment.python,
        warnings=warnings,
        identity=identity,
        environment=environment,
        requested=requested,
    )


def _another_python(requested: RequestedEnvironment, python: str) -> str:
    """Where conda.yaml and MLmodel disagree, the other one may be possible to build."""
    from batchtwin.environments.requested import python_of_mlmodel

    other = python_of_mlmodel(requested.folder)
    if other is None or other == python:
        return ""
    return f"; {requested.source} says Python {python}, MLmodel says {other}: try --python {other}"


def _refuse_silently_wrong(
    requested: RequestedEnvironment | None, model: Model, options: EnvironmentOptions, installed: Installed | None
) -> None:
    """Refuse a pickled model under another minor version of Python: it may load, and give wrong numbers."""
    saved = may_be_silently_wrong(requested, installed)
    if options.force or saved is None or not model.flavors or not is_pickled(model.path):
        return
    running = f"this is Python {HERE}" if installed is None else f"{options.env} has Python {installed.python_minor}"
    raise RequestedEnvironmentError(
        f"{model.path}: pickled by Python {saved}, {running}: its predictions can be wrong without an "
        "error; run it in its own environment (--env auto), or insist: --force"
    )


def is_pickled(model: Path) -> bool:
    """Whether a model has pickle files."""
    return (model.is_dir() and any(path.suffix in PICKLES for path in model.glob("*"))) or any(
        path.suffix in PICKLES for path in model.glob("*/*")
    )
