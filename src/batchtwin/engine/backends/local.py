"""This machine: a node under this interpreter, or under another one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.engine.backends.base import Note
from batchtwin.engine.backends.fetching import FetchingClient
from batchtwin.engine.backends.node_client import NodeClient
from batchtwin.engine.backends.node_pool import Client, NodePool
from batchtwin.engine.backends.node_process import StartedProcess
from batchtwin.engine.backends.packages import copy_packages
from batchtwin.engine.logs import Logs
from batchtwin.engine.prepare import Prepared
from batchtwin_node import bootstrap
from batchtwin_node.protocol import JobContext, NodeInit
from batchtwin_node.script.entry_script import NO_MLFLOW

if TYPE_CHECKING:
    from batchtwin_node.warm.messages import Keep

# Variables of the caller's environment that are about the caller's interpreter.
OF_THE_CALLER = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")


class LocalBackend:
    """Starts its node at once: it imports while the job is prepared. Without `init.preload` it imports nothing.

    `warm`: a warm server forks the node if there is one; else the job's fork server stays as one. `python` is the
    interpreter of the deployment's environment, None for this one; `identity` describes it. `use` is a descriptor that
    protects the environment from removal.
    """

    def __init__(
        self,
        init: NodeInit | None = None,
        python: Path | None = None,
        identity: str = "",
        use: int | None = None,
        warm: bool = False,
    ) -> None:
        self._use = use
        self._init = init or NodeInit("", None, {}, 0.0)
        self._identity = identity
        self._python = python
        self._env = dict(os.environ) if python is None else variables_for(python, os.environ)
        self._folder = bootstrap.FOLDER if python is None else ""
        self._keep: Keep | None = None
        self._why_cold = ""
        if warm and self._init.preload is not None:
            self._be_warm()
        self._node: NodeClient | None = self._begin()

    def _be_warm(self) -> None:
        """Choose the warm server that the job may use; the node's packages have to be where they were."""
        from batchtwin.engine.backends.warm.client import NotWarmError, keep_for, packages_folder

        try:
            packages = packages_folder() if self._python else self._folder
            self._keep = keep_for(str(self._python or sys.executable), packages, self._env, self._init)
            self._folder = packages
        except NotWarmError as error:
            self._why_cold = str(error)

    def _begin(self) -> NodeClient:
        if self._keep is not None:
            from batchtwin.engine.backends.warm.client import NotWarmError, warm_client

            try:
                return warm_client(self._keep, self._env, self._init)
            except NotWarmError as error:
                self._why_cold = str(error)
        return self._start()

    def _start(self) -> NodeClient:
        self._folder = self._folder or node_folder()
        command = bootstrap.node_command(str(self._python or sys.executable), self._folder, os.getpid())
        init = self._init
        if self._keep is not None and init.preload is not None:
            init = replace(init, preload=replace(init.preload, keep=self._keep))
        return NodeClient(StartedProcess(command, self._env), init)

    def connect(self, prepared: Prepared) -> str:
        """Return the interpreter's description: this machine is always available."""
        return self._identity

    def pool(self, context: JobContext, logs: Logs, note: Note) -> NodePool:
        """Return a pool of processes."""

        first = self._settled()
        if self._why_cold:
            logs.progress(f"Not warm: {self._why_cold}.")

        def client() -> Client:
            return FetchingClient(self._start(), context)

        return NodePool(FetchingClient(first, context), client, context, logs, note)

    def _settled(self) -> NodeClient:
        """Return the first node once it has started; if a warm server does not give it, a node of our own."""
        node, self._node = self._node, None
        if node is not None and self._keep is not None:
            from batchtwin.engine.backends.warm.client import NotWarmError, wait_for_node

            try:
                wait_for_node(node)
            except NotWarmError as error:
                self._why_cold, node = str(error), None
        return node or self._start()

    def explain(self, cause: str) -> str:
        """Name the interpreter that lacks MLflow."""
        remedy = f"{self._python or sys.executable}; add mlflow to the deployment's environment"
        return cause.replace(NO_MLFLOW, f"no module mlflow in the environment of {remedy}")

    def close(self) -> None:
        """Close a node that no pool has taken over."""
        if self._node is not None:
            self._node.kill()
            self._node = None
        if self._python is not None and self._folder and self._keep is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._use is not None:
            os.close(self._use)
            self._use = None


def variables_for(python: Path, caller: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's variables for another interpreter: its commands come first, Python's variables go."""
    env = {name: value for name, value in caller.items() if name not in OF_THE_CALLER}
    return {**env, "PATH": os.pathsep.join([str(python.parent), env.get("PATH", os.defpath)])}


def node_folder() -> str:
    """Make a folder with the packages of a node and nothing else: another interpreter sees no package of ours."""
    folder = tempfile.mkdtemp(prefix="batchtwin-node-")
    os.chmod(folder, 0o755)  # noqa: S103 - a container runs as another user; there is no secret in it
    copy_packages(Path(folder))
    return folder
