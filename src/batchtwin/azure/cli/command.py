"""What a command of `az` is: its errors with exit codes, its warnings, the question before a deletion."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import field
from shlex import quote
from typing import Any

from batchtwin.errors import FAILED, BatchTwinError
from batchtwin.workspace.errors import NotFoundError
from batchtwin_node.codec import value_object
from batchtwin_node.readers.bad_file import LINES, printable

# The exit code of `az` for "resource not found".
NOT_FOUND = 3

# Whether the command has --only-show-errors.
only_errors: ContextVar[bool] = ContextVar("only_errors", default=False)

# How to create what another command needs, and the commands that need something.
CREATE = {
    "compute": "compute create --type AmlCompute",
    "endpoint": "batch-endpoint create",
    "model": "model create --path DIR --type mlflow_model",
    "data": "data create --path DIR --type uri_folder",
    "environment": "environment create --image IMAGE --conda-file FILE",
}
NEEDING = ("create", "update", "invoke")


class CommandError(BatchTwinError):
    """Ends a command of `az`, with the exit code of `az`."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        self.exit_code = exit_code
        super().__init__(f"ERROR: {text}")


def how_to_create(error: BatchTwinError, command: str) -> str:
    """Return the command that creates what `command` lacks; empty for other errors."""
    if not isinstance(error, NotFoundError) or error.kind not in CREATE or not command.endswith(NEEDING):
        return ""
    name = quote(error.name.partition(":")[0])
    return f"; create it: batchtwin ml {CREATE[error.kind]} --name {name}"


@value_object
class Command:
    """A command: its function in the module of its group.

    `ignored` are documented options that have no meaning on this machine: `"--long -s"` with a value (a warning names
    them), `ignored_flags` those without. A first parameter `workspace` of the function is the opened workspace. What it
    returns, plain data or None, is printed by `--query` and `-o`. `confirmed` asks first, unless `--yes` is given.
    """

    function: str
    ignored: Sequence[str] = ()
    ignored_flags: Sequence[str] = ()
    confirmed: bool = False


@value_object
class Group:
    """Commands whose functions are in one module of this package, imported for these commands only."""

    module: str
    help: str
    commands: Mapping[str, Command] = field(default_factory=dict)


def say(text: str, *, err: bool = False) -> None:
    """Print text for people. Control characters are escaped: names, logs and messages of others may contain them."""
    print(printable(text, LINES), file=sys.stderr if err else sys.stdout, flush=True)


def warn(text: str) -> None:
    """Print a warning on stderr, unless the user wants only errors."""
    if not only_errors.get():
        say(f"WARNING: {text}", err=True)


def confirm(arguments: Mapping[str, Any]) -> bool:
    """Ask the user to confirm a command with these arguments.

    Raises:
        CommandError: there is no terminal to ask on.
    """
    if not sys.stdin.isatty():
        raise CommandError("Unable to prompt for confirmation as no tty available. Use --yes.")
    print("Are you sure you want to perform this operation? (y/n): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
