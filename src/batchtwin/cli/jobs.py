"""The commands for jobs: score, resume, verify, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchtwin.cli.messages import note, print_json, warn
from batchtwin.cli.options import (
    AllowBuilds,
    AsJson,
    BadFiles,
    Coalesce,
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
    Warm,
    Workers,
)
from batchtwin.cli.summary import print_result
from batchtwin.deployment.overrides import parse_set
from batchtwin.inputs.location import parse_location

if TYPE_CHECKING:
    from batchtwin.api.watch import Watch


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
    hash_inputs: Annotated[bool, typer.Option("--hash-inputs", help="Know large inputs by content, too.")] = False,
    strict_inputs: Annotated[
        bool, typer.Option("--strict-inputs", help="Fail the job if an input changes while it runs; else it warns.")
    ] = False,
    coalesce: Coalesce = False,
    split_rows: SplitRows = None,
    warm: Warm = None,
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
    as_json: AsJson = False,
) -> None:
    """Score a folder of files as the deployment's batch job would."""
    from batchtwin.api.jobs import run
    from batchtwin.api.options import ScoreOptions, parse_rows, request_of

    options = ScoreOptions(
        model=model,
        output=output,
        workers=workers,
        overwrite=overwrite,
        bad_files=bad_files,
        hash_inputs=hash_inputs,
        strict_inputs=strict_inputs,
        split_rows=parse_rows(split_rows),
        coalesce=coalesce,
        warm=warm,
        env=env,
        python=python,
        force=force,
        strict_environment=strict_environment,
        allow_builds=allow_builds,
        follow_links=follow_links,
        memory=memory,
        image=image,
        engine=engine,
        pool=pool,
        ray_address=ray_address,
        ray_cpus=ray_cpus,
        ray_gpus=ray_gpus,
        ray_wait=ray_wait,
        ray_env=ray_env,
    )
    request = request_of(deployment, parse_location(input), options, parse_set(overrides))
    result = run(request, _watch())
    print_result(result, as_json=as_json)
    raise typer.Exit(result.exit_code)


def _watch() -> Watch:
    from batchtwin.api.watch import Watch
    from batchtwin.engine.progress import progress_for

    return Watch(note, progress_for)


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
    as_json: AsJson = False,
) -> None:
    """Finish an interrupted or failed job: run only what was not committed."""
    from batchtwin.api.jobs import folder_of, run_again
    from batchtwin.api.options import ResumeOptions

    options = ResumeOptions(
        workers=workers,
        retry_failed=retry_failed,
        accept_changed=accept_changed,
        pool=pool,
        ray_address=ray_address,
        ray_cpus=ray_cpus,
        ray_gpus=ray_gpus,
        ray_wait=ray_wait,
        ray_env=ray_env,
    )
    result = run_again(folder_of(output), options, _watch())
    print_result(result, as_json=as_json)
    raise typer.Exit(result.exit_code)


def verify(output: JobPath, as_json: AsJson = False) -> None:
    """Prove that the output is whole and is what these inputs, model and script gave."""
    from batchtwin.api.jobs import verify

    verdict = verify(output)
    if as_json:
        print_json(verdict.data())
        raise typer.Exit(verdict.exit_code)
    warn(verdict.warnings)
    for problem in verdict.problems:
        note(problem)
    typer.echo(f"{'Verified' if verdict.ok else 'Wrong'}: {verdict.checked}")
    raise typer.Exit(verdict.exit_code)


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
    as_json: AsJson = False,
) -> None:
    """Compare two prediction files, whatever the order of their lines: equal (0), or what differs (1)."""
    from batchtwin.predictions.compare import compare

    comparison = compare(left, right, rtol, atol, most)
    if as_json:
        print_json(comparison.data())
    else:
        typer.echo(comparison.text())
    raise typer.Exit(comparison.exit_code)
