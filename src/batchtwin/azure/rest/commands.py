"""`batchtwin serve` and `batchtwin env`, for the command line."""

from __future__ import annotations

import sys
from contextlib import closing

from batchtwin.azure.connection import Connection, config_json
from batchtwin.errors import UsageError
from batchtwin.extras import install_command

# Modules of the extras `serve` and `workspace`.
NEEDED = ("certifi", "defusedxml", "fastapi", "jwt", "psutil", "sqlalchemy", "trustme", "uvicorn")


def run_server(host: str, port: int, http_port: int) -> None:
    """Serve the workspace of the environment until SIGINT or SIGTERM.

    Raises:
        UsageError: a package of the extra is not installed.
        NoServerError: a port is taken, or the workspace has a server.
    """
    try:
        from batchtwin.azure.rest.log import log_to_stderr
        from batchtwin.azure.rest.server import serve
        from batchtwin.workspace.jobs.launcher import JobLauncher
        from batchtwin.workspace.workspace import Workspace
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise UsageError(f"the server needs {error.name}: {install_command('serve', 'workspace')}") from error
    log_to_stderr()
    with Workspace.open() as workspace, closing(JobLauncher()) as launcher:
        workspace.jobs.launch = launcher
        serve(workspace, host, port, http_port, _tell)


def environment(*, check: bool = False, config: bool = False, unset: bool = False) -> str:
    """Return the output of `batchtwin env`.

    Raises:
        NoServerError: no server has run in this workspace; with `check`, it cannot be reached.
    """
    if config:
        return config_json()
    from batchtwin.workspace.workspace import Workspace

    with Workspace.open() as workspace:
        connection = Connection.read(workspace.root)
    if check:
        connection.check()
        return f"{connection.origin}: reachable\n"
    return connection.unsets() if unset else connection.exports()


def _tell(connection: Connection) -> None:
    sys.stdout.write(f'{connection.origin}\nIn another shell: eval "$(batchtwin env)"\n')
    sys.stdout.flush()
