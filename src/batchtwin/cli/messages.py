"""Output of commands: sentences on stderr, objects for programs on stdout."""

from __future__ import annotations

import json

import typer

from batchtwin.redaction import hide, hide_in
from batchtwin_node.readers.bad_file import LINES, printable


def note(text: str) -> None:
    """Print a sentence."""
    typer.echo(printable(hide(text), LINES), err=True)


def warn(warnings: tuple[str, ...]) -> None:
    """Print warnings, a line each."""
    for warning in warnings:
        note(f"Warning: {warning}")


def print_json(data: object) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(hide_in(data), indent=2, default=lambda value: hide(str(value))))
