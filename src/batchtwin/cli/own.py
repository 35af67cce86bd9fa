"""The commands for a user's own project: init, doctor."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchtwin.api.registered import find_registered, registered
from batchtwin.cli.messages import note
from batchtwin.cli.options import Engine, Env, ModelPath, PythonVersion

if TYPE_CHECKING:
    from batchtwin.doctor.checks import Check

COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; it is made if it is not there.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="The model's folder. Default: DIR/model.")
    ] = None,
    script: Annotated[bool, typer.Option("--script", help="With a scoring script to start from.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the deployment and the endpoint. Default: that of DIR.")
    ] = None,
) -> None:
    """Make a deployment of your own for a model: YAML, environment, sample input, test, workflow."""
    from batchtwin.scaffold.project import make

    scaffold = make(folder, model, script=script, name=name)
    for path in scaffold.written:
        typer.echo(path)
    for text in scaffold.notes:
        note(text)
    note(f"Next: cd {shlex.quote(str(folder))} && batchtwin score deployment.yml --input data")


def doctor(
    deployment: Annotated[
        Path | None, typer.Argument(metavar="[DEPLOYMENT.yml]", help="Check this deployment too.")
    ] = None,
    model: ModelPath = None,
    env: Env = "auto",
    python: PythonVersion = None,
    engine: Engine = "docker",
    az: Annotated[str, typer.Option("--az", envvar="AZ", help="The Azure CLI.")] = "az",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what of this machine and of a deployment works, and how to fix the rest; 1 if something stops a job."""
    from batchtwin.doctor import machine
    from batchtwin.doctor.checks import Probe, run_all
    from batchtwin.doctor.deployment import Subject
    from batchtwin.doctor.deployment import deployment as check_deployment
    from batchtwin.environments.options import EnvironmentOptions

    options = EnvironmentOptions(env, python=python, engine=engine)
    probes = machine.probes(engine, az, image=options.image if options.kind == "image" else "")
    if deployment is not None:
        find = partial(find_registered, overrides={})
        subject = Subject(deployment, model, options, find, registered)
        probes.append(Probe("deployment", lambda: check_deployment(subject)))
    checks = run_all(probes)
    problems = [check for check in checks if check.status == "problem"]
    if as_json:
        typer.echo(json.dumps({"ok": not problems, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        _print(checks, len(problems))
    raise typer.Exit(1 if problems else 0)


def _print(checks: list[Check], problems: int) -> None:
    for check in checks:
        status = typer.style(f"{check.status:8}", fg=COLOURS[check.status])
        typer.echo(f"{status}{check.name:12}{check.text}")
        if check.fix and check.status != "ok":
            typer.echo(f"{'':20}{check.fix}")
    count = f"{problems} problems stop" if problems > 1 else "1 problem stops"
    typer.echo(f"{count} a job." if problems else "Nothing stops a job.")
