"""The commands for jobs: score, resume, verify, compare."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchtwin.cli.messages import note, warn
from batchtwin.cli.options import (
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
    SplitRows,
    StrictEnvironment,
    Workers,
    environment_options,
    parse_rows,
    ray_options,
)
from batchtwin.cli.registered import find_registered, registered
from batchtwin.deployment.overrides import parse_set
from batchtwin.inputs.location import parse_location
from batchtwin_node.readers.bad_file import printable

if TYPE_CHECKING:
    from batchtwin.engine.backends.base import Backend
    from batchtwin.engine.prepare import Prepared, Request
    from batchtwin.engine.resume import Pooling
    from batchtwin.engine.run import Result


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
    strict_inputs: Annotated[
        bool, typer.Option("--strict-inputs", help="Fail the job if an input changes while it runs; else it warns.")
    ] = False,
    coalesce: Annotated[
        bool, typer.Option("--coalesce", help="One predict for all files of a mini-batch, if the model allows it.")
    ] = False,
    split_rows: SplitRows = None,
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
        model=find_registered(deployment, model, parse_set(overrides)),
        output=work_folder(location) if location else None,
        publish=location if isinstance(location, str) else None,
        workers=workers,
        overwrite=overwrite,
        quarantine=bad_files == "quarantine",
        hash_inputs=hash_inputs,
        strict_inputs=strict_inputs,
        coalesce=coalesce,
        split_rows=parse_rows(split_rows),
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
    placement = place_request(request, resolved, note, registered=registered)
    with closing(backend_for(request, resolved, placement)) as backend:
        prepared = prepare(request, resolved).placed(placement)
        result = _score(prepared, backend)
    if result.cause and placement.differences:
        warn(tuple(f"environment: {text}" for text in placement.differences))
    return _tell(result)


def _score(prepared: Prepared, backend: Backend) -> Result:
    from batchtwin.engine.new_job import new_job
    from batchtwin.engine.progress import progress_for

    warn(prepared.warnings)
    with closing(progress_for()) as progress:
        return new_job(prepared, progress, backend)


def _tell(result: Result) -> int:
    if result.cause:
        note(result.cause)
    if result.advice:
        note(result.advice)
    for line in (result.status.value, result.summary, result.counts, printable(str(result.written))):
        typer.echo(line)
    return result.exit_code


def resume(
    output: JobPath,
    workers: Workers = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run the failed mini-batches again too.")
    ] = False,
    accept_changed: Annotated[
        str | None,
        typer.Option("--accept-changed", metavar="PARTS", help="Go on with changed code,deployment; recorded."),
    ] = None,
    pool: PoolKind = None,
    ray_address: RayAddress = None,
    ray_cpus: RayCpus = 1,
    ray_gpus: RayGpus = 0,
    ray_wait: RayWait = 300,
    ray_env: RayVariables = None,
) -> None:
    """Finish an interrupted or failed job: run only what was not committed."""
    from batchtwin.engine.identity.changes import parse_accepted
    from batchtwin.engine.output.remote import work_folder
    from batchtwin.engine.progress import progress_for
    from batchtwin.engine.resume import resume

    where: Pooling | None = ray_options(pool, ray_address, ray_cpus, ray_gpus, ray_wait, ray_env) or (
        "local" if pool else None
    )
    accepted, root = parse_accepted(accept_changed), work_folder(parse_location(output))
    options: dict[str, Any] = {"retry_failed": retry_failed, "where": where, "registered": registered}
    with closing(progress_for()) as progress:
        result = resume(root, progress, workers, accepted=accepted, **options)
    raise typer.Exit(_tell(result))


def verify(output: JobPath) -> None:
    """Prove that the output is whole and is what these inputs, model and script gave."""
    from batchtwin.engine.output.remote import work_folder
    from batchtwin.engine.verify import verify

    verdict = verify(work_folder(parse_location(output)))
    warn(verdict.warnings)
    for problem in verdict.problems:
        note(problem)
    typer.echo(f"{'Wrong' if verdict.problems else 'Verified'}: {verdict.checked}")
    raise typer.Exit(1 if verdict.problems else 0)


def report(
    output: JobPath,
    against: Annotated[
        str | None, typer.Option("--against", metavar="OUTPUT", help="An earlier job to compare the predictions with.")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Write report.html of a job again, as the job stands: from every row, and also while it runs."""
    from batchtwin.engine.output.remote import work_folder
    from batchtwin.engine.report.write import report

    root = work_folder(parse_location(output))
    earlier = None
    if against:
        from batchtwin.cli.against import earlier_job

        earlier = earlier_job(root, work_folder(parse_location(against)))
    path = report(root, earlier)
    typer.echo(path)
    if open_it:
        typer.launch(path.as_uri())


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
