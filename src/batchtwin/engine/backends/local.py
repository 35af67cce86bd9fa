"""This machine: a node under this interpreter, or under another one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from batchtwin.engine.backends.base import Note
from batchtwin.engine.backends.fetching import FetchingClient
from batchtwin.engine.backends.node_client import NodeClient
from batchtwin.engine.backends.node_pool import Client, NodePool
from batchtwin.engine.logs import Logs
from batchtwin.engine.prepare import Prepared
from batchtwin_node import bootstrap
from batchtwin_node.protocol import JobContext, NodeInit
from batchtwin_node.script.entry_script import NO_MLFLOW

# What of the caller's environment speaks of the caller's interpreter.
OF_THE_CALLER = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")
PACKAGES = ("batchtwin_node", "azureml_user")


class LocalBackend:
    """Starts its node at once: it imports while the job is prepared. `init` without `preload`: nothing is imported.

    `python` is the interpreter of the deployment's environment, None for this one; `identity` says what it is. `use` is
    a descriptor that keeps the environment from being removed; it is closed at the end.
    """

    def __init__(
        self, init: NodeInit | None = None, python: Path | None = None, identity: str = "", use: int | None = None
    ) -> None:
        self._use = use
        self._init = init or NodeInit("", None, {}, 0.0)
        self._identity = identity
        self._python = python
        self._folder = bootstrap.FOLDER if python is None else node_folder()
        self._node: Client | None = self._start()

    def _start(self) -> NodeClient:
        python = str(self._python or sys.executable)
        command = bootstrap.node_command(python, self._folder, os.getpid())
        env = dict(os.environ) if self._python is None else environment_for(self._python, os.environ)
        return NodeClient(command, env, self._init)

    def connect(self, prepared: Prepared) -> str:
        """It is here."""
        return self._identity

    def pool(self, context: JobContext, logs: Logs, note: Note) -> NodePool:
        """Return a pool of processes."""

        def client() -> Client:
            node, self._node = self._node or self._start(), None
            return FetchingClient(node, context)

        return NodePool(client(), client, context, logs, note)

    def explain(self, cause: str) -> str:
        """Name the interpreter that lacks MLflow."""
        where = f"{self._python or sys.executable}; add mlflow to the deployment's environment"
        return cause.replace(NO_MLFLOW, f"no module mlflow in the environment of {where}")

    def close(self) -> None:
        """End a node that no pool has taken over."""
        if self._node is not None:
            self._node.kill()
            self._node = None
        if self._python is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._use is not None:
            os.close(self._use)
            self._use = None


def environment_for(python: Path, caller: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's variables for another interpreter: its own commands come first, nothing of the caller's."""
    env = {name: value for name, value in caller.items() if name not in OF_THE_CALLER}
    return {**env, "PATH": os.pathsep.join([str(python.parent), env.get("PATH", os.defpath)])}


def node_folder() -> str:
    """Make a folder that holds the packages of a node and nothing else: another interpreter gets none of ours."""
    folder = tempfile.mkdtemp(prefix="batchtwin-node-")
    os.chmod(folder, 0o755)  # noqa: S103 - a container runs as another user; there is no secret in it
    for package in PACKAGES:
        source = Path(bootstrap.FOLDER) / package
        shutil.copytree(source, Path(folder) / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
