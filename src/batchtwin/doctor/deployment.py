"""Checks of one deployment: its YAML, model, script, environment, and the names that it refers to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.api.registered import in_workspace
from batchtwin.deployment.model import Model, find_model
from batchtwin.deployment.reference import is_reference
from batchtwin.deployment.schema import Deployment, InlineModel
from batchtwin.deployment.script import find_script
from batchtwin.deployment.yaml_file import key_location
from batchtwin.doctor.answer import run_command
from batchtwin.doctor.checks import Check, Status
from batchtwin.doctor.imports import against_environment, against_request, third_party
from batchtwin.engine.prepare import Resolved
from batchtwin.engine.preview import warnings_without_input
from batchtwin.environments.build import CONDAS
from batchtwin.environments.interpreters import CHECK, candidates
from batchtwin.environments.named import Registered
from batchtwin.environments.options import EnvironmentOptions
from batchtwin.environments.placement import Placement, place, requested_or_reason
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin.environments.uv import UvError, program, variables
from batchtwin.errors import BatchTwinError, DeploymentError
from batchtwin.inputs.location import is_url, redact
from batchtwin.scaffold.origin import ADVICE, UNKNOWN, is_unfinished
from batchtwin_node.codec import value_object
from batchtwin_node.script.imports import Import

if TYPE_CHECKING:
    from batchtwin.workspace.workspace import Workspace

MOST_WORKFLOWS = 100
NOWHERE = Model(Path("model"), ())
# Needed to score without a script.
DRIVER = Import(Path("mlflow_driver.py"), 1, "mlflow")


@value_object
class Subject:
    """What is checked: the YAML's path, `--model`, and where it runs.

    `find` gives the location of the model, which the workspace may have registered, `registered` looks up environments
    of the workspace.
    """

    path: Path
    model: str | None
    options: EnvironmentOptions
    find: Callable[[Path, str | None], Path | str | None]
    registered: Registered


def deployment(subject: Subject) -> Iterator[Check]:
    """Check a deployment. Checks that depend on a failed one are left out."""
    try:
        loaded = Deployment.load(subject.path)
    except DeploymentError as error:
        for line in str(error).splitlines():
            yield Check("yaml", "problem", line, f"change {subject.path}")
        return
    yield Check("yaml", "ok", f"{loaded.name}, for endpoint {loaded.endpoint_name}")
    folder = subject.path.absolute().parent
    model, checks = _model(subject, loaded, folder)
    yield from checks
    script, checks = _script(loaded, subject.path)
    yield from checks
    resolved = Resolved(folder, loaded, model or NOWHERE, script)
    runs = script is not None or loaded.code_configuration is None
    if runs and model is not None:
        yield from (Check("script", "note", text, "change the script") for text in warnings_without_input(resolved))
    yield from _environment(subject, resolved, with_imports=runs)
    yield from _names(loaded)
    yield from _workflows(folder)


def _workflows(folder: Path) -> Iterator[Check]:
    """Yield workflows of `init` that do not name batchtwin's repository yet, beside the deployment or above it."""
    root = next((path for path in (folder, *folder.parents) if (path / ".git").exists()), folder)
    for at in dict.fromkeys((folder, root)):
        for path in sorted((at / ".github/workflows").glob("*.y*ml"))[:MOST_WORKFLOWS]:
            with suppress(OSError):
                if is_unfinished(path.read_text(encoding="utf-8", errors="replace")):
                    yield Check("workflow", "note", f"{path}: names {UNKNOWN}, which is nowhere", f"{path}: {ADVICE}")


def _model(subject: Subject, loaded: Deployment, folder: Path) -> tuple[Model | None, list[Check]]:
    spec = loaded.model
    try:
        placement = subject.find(subject.path, subject.model)
        url = placement if placement is not None else spec.path if isinstance(spec, InlineModel) else None
        if is_url(url):
            return None, [Check("model", "ok", f"{redact(str(url))}: in a store, fetched when a job starts")]
        model = find_model(loaded, folder, placement, key_location(subject.path, ("model", "path")))
        if loaded.code_configuration is None:
            model.require_pyfunc()
    except BatchTwinError as error:
        fix = "say where a copy is: --model FOLDER" if isinstance(spec, str) else "name another model: --model FOLDER"
        return None, [Check("model", "problem", str(error), fix)]
    flavors = ", ".join(model.flavors) or "no MLflow model"
    return model, [Check("model", "ok", f"{os.path.normpath(model.path)} ({flavors})")]


def _script(loaded: Deployment, path: Path) -> tuple[tuple[str, str] | None, list[Check]]:
    try:
        script = find_script(loaded, path)
    except BatchTwinError as error:
        return None, [Check("script", "problem", str(error), "change the script, or code_configuration")]
    return script, [Check("script", "ok", os.path.join(*script) if script else "none: the MLflow driver scores")]


def _environment(subject: Subject, resolved: Resolved, *, with_imports: bool) -> Iterator[Check]:
    of_deployment = (resolved.deployment, resolved.folder, resolved.model)
    try:
        placement = place(
            *of_deployment, subject.options, lambda _: None, may_build=False, registered=subject.registered
        )
        requested, _ = requested_or_reason(*of_deployment, subject.registered)
    except (BatchTwinError, OSError) as error:
        yield Check("environment", "problem", str(error), "change the environment, or say where to run: --env")
        return
    if placement.would_build and requested is not None:
        yield from _buildable(subject, placement, requested)
    else:
        cached = " (cached)" if placement.kind == "venv" else ""
        yield Check("environment", "ok", f"{placement.text}{cached}")
    for text in placement.warnings:
        yield Check("environment", "note", text.removeprefix("environment: "))
    if not with_imports or placement.kind == "image":
        return
    if placement.would_build and requested is not None:
        yield from against_request(third_party(*resolved.script) if resolved.script else [DRIVER], requested)
    else:
        yield from against_environment(resolved, placement, subject.registered)


def _buildable(subject: Subject, placement: Placement, requested: RequestedEnvironment) -> Iterator[Check]:
    """Check what a build needs on this machine. Only the build shows whether all packages fit together."""
    version = requested.minor(subject.options.python)
    build = f"batchtwin environments build {subject.path}" + (f" --model {subject.model}" if subject.model else "")
    checks = [*_uv(), *_python(version), *_conda(requested)]
    yield from checks
    status: Status = "note" if checks else "ok"
    yield Check("environment", status, f"{placement.text}; the first job makes it", build)


def _uv() -> Iterable[Check]:
    try:
        program()
    except UvError as error:
        yield Check("environment", "problem", str(error), "pip install uv, or run here: --env here")


def _python(version: str) -> Iterable[Check]:
    """Check the requested Python. If it is missing, uv downloads it when a job starts, if uv may."""
    for path in candidates(version):
        answer = run_command([str(path), "-I", "-S", "-c", CHECK], 0.5)
        if answer.ok and answer.first_line == version:
            return
    if not run_command([program(), "python", "find", "--no-project", "--offline", version], 1.0).ok:
        status: Status = "problem" if variables().get("UV_OFFLINE") else "note"
        text = f"Python {version} is not on this machine; uv downloads it when the environment is made"
        yield Check("environment", status, text, f"uv python install {version}")


def _conda(requested: RequestedEnvironment) -> Iterable[Check]:
    if requested.conda_only and not any(map(shutil.which, CONDAS)):
        names = ", ".join(requested.conda_only)
        text = f"{names}: only conda can install this, and none of {', '.join(CONDAS)} is here"
        yield Check("environment", "problem", text, "install micromamba, or name packages of PyPI below pip:")


def _names(loaded: Deployment) -> Iterator[Check]:
    """Check references to registered things: `score` needs the model and the environment, `batchtwin ml` all."""
    references = [
        (kind, value)
        for kind, value in (("model", loaded.model), ("environment", loaded.environment), ("compute", loaded.compute))
        if isinstance(value, str) and is_reference(value)
    ]
    if not references:
        return
    unknown = _unregistered(references)
    names = ", ".join(value for _, value in references)
    if unknown is None:
        yield Check("names", "ok", f"{names}: for Azure ML; this folder has no workspace to look in")
    elif unknown:
        text = f"{', '.join(unknown)}: not in the workspace of this folder; batchtwin ml needs them"
        yield Check("names", "note", text, f"batchtwin ml {_create(references, unknown)} create")
    else:
        yield Check("names", "ok", f"{names}: in the workspace of this folder")


def _create(references: list[tuple[str, str]], unknown: list[str]) -> str:
    return next(kind for kind, value in references if value == unknown[0])


def _unregistered(references: list[tuple[str, str]]) -> list[str] | None:
    """Return the references that the workspace does not have; None if there is no workspace."""

    def is_unknown(workspace: Workspace, kind: str, value: str) -> bool:
        from batchtwin.workspace.errors import InvalidError, NotFoundError
        from batchtwin.workspace.names import asset_reference

        try:
            if kind == "compute":
                workspace.computes.get(asset_reference("compute", value).name)
            else:
                workspace.assets.resolve(kind, value)  # type: ignore[arg-type]
        except (NotFoundError, InvalidError):
            return True
        return False

    return in_workspace(lambda workspace: [value for kind, value in references if is_unknown(workspace, kind, value)])
