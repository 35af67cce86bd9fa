"""The commands for a project of one's own: init, doctor."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from batchtwin.cli.messages import note


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
