"""The commands for clients of Azure: serve, env, and the commands of `az`."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def as_azure(context: typer.Context) -> None:
    """Pass the arguments to the commands of `az`, which are built only now."""
    from batchtwin.azure.cli.commands import run

    raise typer.Exit(run([str(context.info_name), *context.args]))


def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the service; 0: any that is free.")] = 8443,
    http_port: Annotated[
        int | None,
        typer.Option("--http-port", min=0, max=65535, help="For requests without TLS; 8480, or 0 with --port 0."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where the service listens.")] = "127.0.0.1",
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let jobs fetch input from this machine and private networks.")
    ] = False,
    warm: Annotated[
        bool | None,
        typer.Option("--warm/--no-warm", help="Keep the imports of a job for the next one, for ten minutes."),
    ] = None,
) -> None:
    """Serve the local workspace to the Azure SDK, until Ctrl-C: in another shell, eval "$(batchtwin env)"."""
    from batchtwin.azure.rest.commands import run_server
    from batchtwin.engine.backends.warm.settings import WARM
    from batchtwin.inputs.public_web import ALLOW_PRIVATE

    if warm is not None:
        os.environ[WARM] = "1" if warm else "0"
    if allow_private:
        os.environ[ALLOW_PRIVATE] = "1"
    run_server(host, port, http_port if http_port is not None else 8480 if port else 0)


def env(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the server can be reached.")] = False,
    config: Annotated[bool, typer.Option("--config", help="Print config.json, for MLClient.from_config.")] = False,
    unset: Annotated[bool, typer.Option("--unset", help="Print what takes it back.")] = False,
) -> None:
    """Print what a shell needs to use `batchtwin serve` with the Azure SDK: eval "$(batchtwin env)"."""
    from batchtwin.azure.rest.commands import environment

    typer.echo(environment(check=check, config=config, unset=unset), nl=False)
