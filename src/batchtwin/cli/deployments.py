"""The commands for deployments: plan, image."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from batchtwin.cli.messages import note, warn
from batchtwin.cli.options import (
    BadFiles,
    DeploymentFile,
    Engine,
    Env,
    Force,
    ModelPath,
    OptionalInputPath,
    Overrides,
    PythonVersion,
    StrictEnvironment,
    Workers,
    environment_options,
)
from batchtwin.cli.registered import find_registered, registered
from batchtwin.deployment.overrides import parse_set
from batchtwin.errors import UsageError
from batchtwin.inputs.location import parse_location
from batchtwin_node.readers.bad_file import printable


def plan(
    deployment: DeploymentFile,
    input: OptionalInputPath = None,
    model: ModelPath = None,
    workers: Workers = None,
    bad_files: BadFiles = "fail",
    overrides: Overrides = None,
    env: Env = "auto",
    python: PythonVersion = None,
    force: Force = False,
    strict_environment: StrictEnvironment = False,
    trial: Annotated[
        bool, typer.Option("--try", help="Run one mini-batch, and compare its time with the timeout.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what would run, and what is wrong, in a second; score nothing (or, with --try, one mini-batch).

    Without --input: all but the data.
    """
    from batchtwin.engine import preview
    from batchtwin.engine.backends.choice import backend_for
    from batchtwin.engine.checks import check_resolved, request_warnings
    from batchtwin.engine.prepare import Request, place_request, prepare, resolve

    if trial and input is None:
        raise UsageError("--try: runs one mini-batch, so it needs --input PATH")
    request = Request(
        deployment=deployment,
        input=parse_location(input) if input is not None else "",
        model=find_registered(deployment, model, parse_set(overrides)),
        workers=workers,
        quarantine=bad_files == "quarantine",
        overrides=parse_set(overrides),
        environment=environment_options(env, None, python=python, force=force, strict=strict_environment),
    )
    resolved = resolve(request)
    placement = place_request(request, resolved, note, may_build=trial, registered=registered)
    imports = preview.missing_imports(resolved, placement, registered)
    if input is None:
        check_resolved(request, resolved)
        facts, doubts = preview.summary_without_input(request, resolved), preview.warnings_without_input(resolved)
        warnings, lists = (*placement.warnings, *request_warnings(request, resolved.deployment)), {}
    else:
        prepared = prepare(request, resolved).placed(placement)
        facts, doubts = preview.summary(prepared), preview.warnings(prepared)
        warnings, lists = prepared.warnings, preview.details(prepared)
    facts["environment"], code = placement.text, 0
    if trial:
        with closing(backend_for(request, resolved, placement)) as backend:
            tried = preview.dry_run(prepared, backend)
        facts["trial"], code = tried.text, tried.exit_code
        if tried.cause:
            note(tried.cause)
            lists["trial_cause"] = tried.cause
    doubts = imports + doubts
    if as_json:
        lists |= {"doubts": doubts, "environment_differences": list(placement.differences)}
        typer.echo(json.dumps(facts | lists, indent=2))
    else:
        for name, value in facts.items():
            typer.echo(printable(f"{name.replace('_', ' '):22} {value}"))
        warn(warnings + tuple(doubts))
    raise typer.Exit(code)


def image(
    deployment: DeploymentFile,
    model: ModelPath = None,
    engine: Engine = "docker",
    flags: Annotated[str, typer.Option("--build-flags", envvar="DOCKER_BUILD_FLAGS", help="For the engine.")] = "",
    allow_builds: Annotated[
        bool, typer.Option("--allow-builds", help="Build source packages too; that runs their code, in the build.")
    ] = False,
) -> None:
    """Build the image with the environment that a deployment asks for, and print its tag for `--env image:TAG`."""
    import shlex

    from batchtwin.engine.prepare import Request, resolve
    from batchtwin.environments.image import build_image, recipe_for

    resolved = resolve(Request(deployment, Path(), find_registered(deployment, model, {})))
    where = (resolved.deployment, resolved.folder, resolved.model)
    recipe = recipe_for(*where, allow_builds=allow_builds, registered=registered)
    typer.echo(build_image(recipe, engine, shlex.split(flags)))
