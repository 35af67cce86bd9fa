"""The command line. Nothing heavy is imported before it is needed; nothing else in the package exits or prints."""

from __future__ import annotations

import json
import sqlite3
import sys
import traceback
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from batchtwin import __version__
from batchtwin.deployment.overrides import parse_set
from batchtwin.environment_commands import app as environments_app
from batchtwin.errors import FAILED, BatchTwinError
from batchtwin.inputs.location import parse_location
from batchtwin.options import (
    AllowBuilds,
    BadFiles,
    DeploymentFile,
    Engine,
    Env,
    FollowLinks,
    Force,
    Image,
    InputPath,
    JobPath,
    Memory,
    ModelPath,
    Overrides,
    PoolKind,
    PythonVersion,
    RayAddress,
    RayCpus,
    RayGpus,
    RayVariables,
    RayWait,
    StrictEnvironment,
    Workers,
    environment_options,
    ray_options,
)

if TYPE_CHECKING:
    from batchtwin.engine.backends.base import Backend
    from batchtwin.engine.prepare import Prepared, Request
    from batchtwin.engine.resume import Pooling
    from batchtwin.engine.run import Result

app = typer.Typer(
    name="batchtwin",
    help="Run Azure Machine Learning batch deployments on this machine: same files, same result.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


app.add_typer(environments_app, name="environments")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batchtwin {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Run Azure Machine Learning batch deployments on this machine: same files, same result."""


@app.command()
def score(
    deployment: DeploymentFile,
    input: InputPath,
    model: ModelPath = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="DIR", help="Or a URL. Default: a new one in outputs/.")
    ] = None,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the job that DIR holds.")] = False,
    bad_files: BadFiles = "fail",
    overrides: Overrides = None,
    hash_inputs: Annotated[bool, typer.Option("--hash-inputs", help="Know inputs by content, not by time.")] = False,
    coalesce: Annotated[
        bool, typer.Option("--coalesce", help="One predict for all files of a mini-batch, if the model allows it.")
    ] = False,
    env: Env = "auto",
    python: PythonVersion = None,
    force: Force = False,
    strict_environment: StrictEnvironment = False,
    allow_builds: AllowBuilds = False,
    follow_links: FollowLinks = False,
    memory: Memory = None,
    image: Image = None,
    engine: Engine = "docker",
    pool: PoolKind = None,
    ray_address: RayAddress = None,
    ray_cpus: RayCpus = 1,
    ray_gpus: RayGpus = 0,
    ray_wait: RayWait = 300,
    ray_env: RayVariables = None,
) -> None:
    """Score a folder of files as the deployment's batch job would."""
    from batchtwin.engine.output.remote import work_folder
    from batchtwin.engine.prepare import Request

    location = parse_location(output) if output else None
    request = Request(
        deployment=deployment,
        input=parse_location(input),
        model=parse_location(model) if model else None,
        output=work_folder(location) if location else None,
        publish=location if isinstance(location, str) else None,
        workers=workers,
        overwrite=overwrite,
        quarantine=bad_files == "quarantine",
        hash_inputs=hash_inputs,
        coalesce=coalesce,
        overrides=parse_set(overrides),
        ray=ray_options(pool, ray_address, ray_cpus, ray_gpus, ray_wait, ray_env),
        environment=environment_options(
            env,
            image,
            python=python,
            force=force,
            strict=strict_environment,
            allow_builds=allow_builds,
            engine=engine,
            memory=memory,
            follow_links=follow_links,
        ),
    )
    raise typer.Exit(_run(request))


def _run(request: Request) -> int:
    from batchtwin.engine.backends.choice import backend_for
    from batchtwin.engine.prepare import place_request, prepare, resolve

    resolved = resolve(request)
    placement = place_request(request, resolved, _note)
    with closing(backend_for(request, resolved, placement)) as backend:
        prepared = prepare(request, resolved)
        _warn(placement.warnings)
        result = _score(prepared, backend)
    if result.cause and placement.differences:
        _warn(tuple(f"environment: {text}" for text in placement.differences))
    return _tell(result)


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _score(prepared: Prepared, backend: Backend) -> Result:
    from batchtwin.engine.new_job import new_job
    from batchtwin.engine.progress import progress_for

    _warn(prepared.warnings)
    with closing(progress_for()) as progress:
        return new_job(prepared, progress, backend)


def _tell(result: Result) -> int:
    if result.cause:
        typer.echo(result.cause, err=True)
    for line in (result.status.value, result.summary, f"{result.files} files, {result.rows} rows", result.written):
        typer.echo(line)
    return result.exit_code


@app.command()
def resume(
    output: JobPath,
    workers: Workers = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run the failed mini-batches again too.")
    ] = False,
    pool: PoolKind = None,
    ray_address: RayAddress = None,
    ray_cpus: RayCpus = 1,
    ray_gpus: RayGpus = 0,
    ray_wait: RayWait = 300,
    ray_env: RayVariables = None,
) -> None:
    """Finish an interrupted or failed job: run only what was not committed."""
    from batchtwin.engine.output.remote import work_folder
    from batchtwin.engine.progress import progress_for
    from batchtwin.engine.resume import resume

    where: Pooling | None = ray_options(pool, ray_address, ray_cpus, ray_gpus, ray_wait, ray_env) or (
        "local" if pool else None
    )
    with closing(progress_for()) as progress:
        result = resume(work_folder(parse_location(output)), progress, workers, retry_failed=retry_failed, where=where)
    raise typer.Exit(_tell(result))


@app.command()
def verify(output: JobPath) -> None:
    """Prove that the output is whole and is what these inputs, model and script gave."""
    from batchtwin.engine.output.remote import work_folder
    from batchtwin.engine.verify import verify

    verdict = verify(work_folder(parse_location(output)))
    for problem in verdict.problems:
        typer.echo(problem, err=True)
    typer.echo(f"{'Wrong' if verdict.problems else 'Verified'}: {verdict.checked}")
    raise typer.Exit(1 if verdict.problems else 0)


@app.command()
def compare(
    left: Annotated[Path, typer.Argument(metavar="LEFT", help="A predictions file, or a job's output folder.")],
    right: Annotated[Path, typer.Argument(metavar="RIGHT", help="The other one.")],
    rtol: Annotated[float, typer.Option("--rtol", help="Relative tolerance for floats.")] = 1e-9,
    atol: Annotated[float, typer.Option("--atol", help="Absolute tolerance for floats.")] = 0.0,
    most: Annotated[int, typer.Option("--most", help="How many differences to show.")] = 10,
) -> None:
    """Compare two prediction files, whatever the order of their lines: equal (0), or what differs (1)."""
    from batchtwin.compare import compare

    comparison = compare(left, right, rtol, atol, most)
    typer.echo(comparison.text())
    raise typer.Exit(comparison.exit_code)


@app.command()
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
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what would run, and what is wrong, in a second; score nothing (or, with --try, one mini-batch)."""
    from batchtwin.engine import preview
    from batchtwin.engine.backends.choice import backend_for
    from batchtwin.engine.prepare import Request, place_request, prepare, resolve

    request = Request(
        deployment=deployment,
        input=parse_location(input),
        model=parse_location(model) if model else None,
        workers=workers,
        quarantine=bad_files == "quarantine",
        overrides=parse_set(overrides),
        environment=environment_options(env, None, python=python, force=force, strict=strict_environment),
    )
    resolved = resolve(request)
    placement = place_request(request, resolved, _note, may_build=trial)
    prepared = prepare(request, resolved)
    facts, doubts = preview.summary(prepared), preview.warnings(prepared)
    facts["environment"] = placement.text
    if trial:
        with closing(backend_for(request, resolved, placement)) as backend:
            facts["trial"] = preview.dry_run(prepared, backend)
    differing = list(placement.differences)
    if as_json:
        lists = {"doubts": doubts, "environment_differences": differing}
        typer.echo(json.dumps(facts | preview.details(prepared) | lists, indent=2))
        return
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):22} {value}")
    _warn(placement.warnings + prepared.warnings + tuple(doubts))


@app.command()
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


def _as_azure(context: typer.Context) -> None:
    """Hand the words to the commands of `az`, which are built only now."""
    from batchtwin.azure.cli.commands import run

    run([str(context.info_name), *context.args])


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the service; 0: any that is free.")] = 8443,
    http_port: Annotated[
        int | None,
        typer.Option(
            "--http-port", min=0, max=65535, help="Of what the SDK asks without TLS; 8480, or 0 with --port 0."
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where the service listens.")] = "127.0.0.1",
) -> None:
    """Serve the local workspace to the Azure SDK, until Ctrl-C: in another shell, eval "$(batchtwin env)"."""
    from batchtwin.azure.rest.commands import run_server

    run_server(host, port, http_port if http_port is not None else 8480 if port else 0)


@app.command()
def env(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the server can be reached.")] = False,
    config: Annotated[bool, typer.Option("--config", help="Print config.json, for MLClient.from_config.")] = False,
    unset: Annotated[bool, typer.Option("--unset", help="Print what takes it back.")] = False,
) -> None:
    """Print what a shell needs for the Azure SDK to use `batchtwin serve`: eval "$(batchtwin env)"."""
    from batchtwin.azure.rest.commands import environment

    typer.echo(environment(check=check, config=config, unset=unset), nl=False)


# `ml`, and what scripts ask of `az` before they use it.
for _name in ("ml", "account", "config", "configure", "extension", "version"):
    app.command(
        _name,
        help="Models, data, endpoints, deployments and jobs by name: the words and flags of `az ml`.",
        hidden=_name != "ml",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
    )(_as_azure)


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)


def main() -> NoReturn:
    """Entry point: run the command; an error is its text and its exit code, with `--debug` its traceback too."""
    # `--debug` may stand before or after the verb.
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app(arguments)
    except BatchTwinError as error:
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exc()
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except (OSError, sqlite3.Error) as error:
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exc()
        typer.echo(f"{type(error).__name__}: {error}; --debug shows where", err=True)
        sys.exit(FAILED)
    sys.exit(0)
