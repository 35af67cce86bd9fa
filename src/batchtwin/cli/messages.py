"""What commands print on stderr."""

from __future__ import annotations

import typer


def note(text: str) -> None:
    """Tell a sentence."""
    typer.echo(text, err=True)


def warn(warnings: tuple[str, ...]) -> None:
    """Tell warnings, a line each."""
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
