"""The commands for deployments: plan, image, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchtwin.cli.messages import note, print_json, warn
from batchtwin.cli.options import (
    AsJson,
    BadFiles,
    DeploymentFile,
    Engine,
    Env,
    Force,
    InputPath,
    ModelPath,
    Overrides,
    PythonVersion,
    StrictEnvironment,
    Workers,
)
from batchtwin.deployment.overrides import parse_set
from batchtwin.inputs.location import parse_location


def plan(
    deployment: DeploymentFile,
    input: InputPath,
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
    as_json: AsJson = False,
) -> None:
    """Show what would run, and what is wrong, in a second; score nothing (or, with --try, one mini-batch)."""
    from batchtwin.api.options import ScoreOptions, request_of
    from batchtwin.api.plans import look_ahead
    from batchtwin.api.watch import Silent, Watch

    options = ScoreOptions(
        model=model,
        workers=workers,
        bad_files=bad_files,
        env=env,
        python=python,
        force=force,
        strict_environment=strict_environment,
    )
    request = request_of(deployment, parse_location(input), options, parse_set(overrides))
    preview = look_ahead(request, Watch(note, Silent), trial=trial)
    if as_json:
        print_json(preview.data())
        return
    for name, value in preview.facts.items():
        typer.echo(f"{name.replace('_', ' '):22} {value}")
    warn(preview.warnings + preview.doubts)


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

    resolved = resolve(Request(deployment, Path(), parse_location(model) if model else None))
    recipe = recipe_for(resolved.deployment, resolved.folder, resolved.model.path, allow_builds=allow_builds)
    typer.echo(build_image(recipe, engine, shlex.split(flags)))


def schema() -> None:
    """Print a JSON Schema of the deployment YAML, for editors: completion, and what batchtwin and Azure ML refuse."""
    from batchtwin.deployment.json_schema import json_schema

    print_json(json_schema())
