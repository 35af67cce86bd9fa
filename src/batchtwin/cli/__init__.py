"""The command line. Slow imports happen only where they are used; no other module of the package exits or prints."""

from __future__ import annotations

import gc
import sqlite3
import sys
from typing import Annotated, NoReturn

import typer

from batchtwin import __version__
from batchtwin.cli import azure, deployments, environments, errors, jobs, own, watch
from batchtwin.cli.messages import note
from batchtwin.cli.streams import Streams
from batchtwin.errors import FAILED, BatchTwinError
from batchtwin.redaction import print_traceback
from batchtwin.subprocesses import collect_rarely
from batchtwin.typer_types import portable

app = typer.Typer(
    name="batchtwin",
    help="Run Azure Machine Learning batch deployments on this machine: same files, same result.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"batchtwin {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Run Azure Machine Learning batch deployments on this machine: same files, same result."""


for _command in (
    *(jobs.score, jobs.resume, jobs.verify, jobs.report, jobs.compare),
    *(deployments.plan, deployments.image, deployments.schema, azure.serve, azure.env),
    *(own.init, own.doctor),
):
    app.command()(portable(_command))
app.add_typer(watch.app)
app.add_typer(environments.app, name="environments")
# `ml`, and the commands of `az` that scripts call before they use it.
AZURE = ("ml", "account", "config", "configure", "extension", "login", "version")
for _name in AZURE:
    app.command(
        _name,
        help="Models, data, endpoints, deployments and jobs by name: the words and flags of `az ml`.",
        hidden=_name != "ml",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
    )(azure.as_azure)


def main() -> NoReturn:
    """Entry point: run the command. An error becomes its text and its exit code; `--debug` adds its traceback.

    With `--json` an error, even of the options, is an object on stdout.
    """
    collect_rarely()
    streams = Streams()
    try:
        _run()
    finally:
        streams.tell_losses()
        gc.freeze()


def _run() -> NoReturn:
    # `--debug` may stand before or after the verb.
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if errors.is_for_programs(arguments, AZURE):
        sys.exit(errors.run_for_programs(lambda: app(arguments, standalone_mode=False), debug=debug))
    try:
        app(arguments)
    except BatchTwinError as error:
        if debug:
            print_traceback()
        note(str(error))
        sys.exit(error.exit_code)
    except (OSError, sqlite3.Error) as error:
        if debug:
            print_traceback()
        note(errors.unexpected(error))
        sys.exit(FAILED)
    sys.exit(0)
