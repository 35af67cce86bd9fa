"""What commands print on stderr."""

from __future__ import annotations

import typer

from batchtwin_node.readers.bad_file import LINES, printable


def note(text: str) -> None:
    """Tell a sentence."""
    typer.echo(printable(text, LINES), err=True)


def warn(warnings: tuple[str, ...]) -> None:
    """Tell warnings, a line each."""
    for warning in warnings:
        note(f"Warning: {warning}")
