"""The commands for deployments: plan, image, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchtwin.api.registered import find_registered, registered
from batchtwin.cli.messages import note, print_json, warn
from batchtwin.cli.options import (
    AsJson,
    BadFiles,
    DeploymentFile,
    Engine,
    Env,
    Force,
    ModelPath,
    OptionalInputPath,
    Overrides,
    PythonVersion,
    SplitRows,
    StrictEnvironment,
    Warm,
    Workers,
)
from batchtwin.deployment.overrides import parse_set
from batchtwin.inputs.location import parse_location
from batchtwin_node.readers.bad_file import printable


def plan(
    deployment: DeploymentFile,
    input: OptionalInputPath = None,
    model: ModelPath = None,
    workers: Workers = None,
    bad_files: BadFiles = "fail",
    split_rows: SplitRows = None,
    overrides: Overrides = None,
    env: Env = "auto",
    python: PythonVersion = None,
    force: Force = False,
    strict_environment: StrictEnvironment = False,
    trial: Annotated[
        bool, typer.Option("--try", help="Run one mini-batch, and compare its time with the timeout.")
    ] = False,
    warm: Warm = None,
    as_json: AsJson = False,
) -> None:
    """Show what would run, and what is wrong, in a second; score nothing (or, with --try, one mini-batch).

    Without --input: all but the data.
    """
    from batchtwin.api.options import ScoreOptions, parse_rows, request_of, warm_of
    from batchtwin.api.plans import look_ahead
    from batchtwin.api.watch import Silent, Watch

    options = ScoreOptions(
        model=model,
        workers=workers,
        bad_files=bad_files,
        split_rows=parse_rows(split_rows),
        env=env,
        python=python,
        force=force,
        strict_environment=strict_environment,
        warm=warm,
    )
    options["warm"] = warm_of(options, default=True)
    location = parse_location(input) if input is not None else ""
    request = request_of(deployment, location, options, parse_set(overrides))
    preview = look_ahead(request, Watch(note, Silent), trial=trial)
    if preview.trial_cause:
        note(preview.trial_cause)
    if as_json:
        print_json(preview.data())
    else:
        for name, value in preview.facts.items():
            typer.echo(printable(f"{name.replace('_', ' '):22} {value}"))
        warn(preview.warnings + preview.doubts)
    raise typer.Exit(preview.exit_code)


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


def schema() -> None:
    """Print a JSON Schema of the deployment YAML, for editors: completion, and what batchtwin and Azure ML refuse."""
    from batchtwin.deployment.json_schema import json_schema

    print_json(json_schema())
