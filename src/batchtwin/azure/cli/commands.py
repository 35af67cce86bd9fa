"""`batchtwin ml ...`: the words and flags of `az ml`, on the local workspace.

Each group stands in a module of its own; `verb` makes functions into commands, `shapes` says what they print.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import typer

from batchtwin.azure.cli import account as precheck
from batchtwin.azure.cli.command import CommandError, group
from batchtwin.azure.unsupported import sentence
from batchtwin.errors import REFUSED, UsageError
from batchtwin.extras import install_command

# The module of each group of `az ml`. Only what a command needs is imported: each answers in a moment.
GROUPS = {
    "model": "assets",
    "data": "assets",
    "environment": "assets",
    "compute": "computes",
    "datastore": "datastores",
    "batch-endpoint": "endpoints",
    "batch-deployment": "deployments",
    "job": "jobs",
}
# What the extra `workspace` brings.
NEEDED = ("jmespath", "knack", "psutil", "sqlalchemy")


def run(words: Sequence[str]) -> None:
    """Run what was said to `az`: `ml`, or what scripts ask before they use it. Ends the process, as Typer does.

    Raises:
        UsageError: the extra that the workspace needs is not installed.
        CommandError: a part of Azure ML that does not run here.
    """
    if words[:1] == ["ml"] and (text := sentence(words[1:])):
        raise CommandError(text, REFUSED)
    try:
        build(words)(list(words), prog_name="batchtwin")
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise UsageError(f"the local workspace needs {error.name}: {install_command('workspace')}") from error


def build(words: Sequence[str]) -> typer.Typer:
    """Return the commands of `az`, as far as these words can need them."""
    az = typer.Typer(name="az", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    ml = group(az, "ml", "Manage Azure Machine Learning resources, in the local workspace.")
    for module in _modules(words):
        import_module(f"batchtwin.azure.cli.{module}").add_to(ml)
    precheck.add_to(az)
    return az


def _modules(words: Sequence[str]) -> list[str]:
    """The modules that are needed: that of the group that is named, else all."""
    if words[0] != "ml":
        return []
    named = GROUPS.get(words[1]) if len(words) > 1 else None
    return [named] if named else list(dict.fromkeys(GROUPS.values()))
