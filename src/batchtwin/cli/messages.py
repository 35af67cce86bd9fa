"""What commands print: sentences on stderr, objects for programs on stdout."""

from __future__ import annotations

import json

import typer


def note(text: str) -> None:
    """Tell a sentence."""
    typer.echo(text, err=True)


def warn(warnings: tuple[str, ...]) -> None:
    """Tell warnings, a line each."""
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)


def print_json(data: object) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(data, indent=2, default=str))
