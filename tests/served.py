"""A real `batchtwin serve` for tests: on free ports, asked by the real SDK or by plain HTTP, killed, started again."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
from job_processes import process_of

from batchtwin.azure.connection import GROUP, SUBSCRIPTION, WORKSPACE, Connection
from batchtwin.azure.rest.scope import WORKSPACE_PATH
from batchtwin.workspace.workspace import Workspace
from support import COMMAND, DEADLINE, wait_for, wait_until_over

HOME = WORKSPACE_PATH.format(subscription=SUBSCRIPTION, group=GROUP, workspace=WORKSPACE)


@dataclass(frozen=True)
class Answer:
    """What came back. `data` is the body as JSON, else None."""

    status: int
    headers: Message
    text: str

    @property
    def data(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.text)

    @property
    def error(self) -> str:
        """The sentence of an ARM error."""
        error = self.data["error"]
        assert set(error) == {"code", "message"}
        assert "Traceback" not in self.text
        return str(error["message"])


@dataclass
class Server:
    """A server and its workspace in `folder`."""

    folder: Path
    words: tuple[str, ...] = ("--port", "0")
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands of this workspace; jobs are spared their MLflow run."""
        return {**os.environ, "BATCHTWIN_WORKSPACE": str(self.folder), "BATCHTWIN_MLFLOW": "off"}

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            [COMMAND, "serve", *self.words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.startswith("https://"), first + self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it, and return what it said on stderr."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=DEADLINE)[1]

    def kill(self) -> None:
        """As the kernel would, out of memory."""
        self.process.kill()
        self.process.communicate(timeout=DEADLINE)

    @property
    def connection(self) -> Connection:
        """Where it listens."""
        return Connection.read(self.folder)

    def workspace(self) -> Workspace:
        """The workspace behind it, opened; for looking at."""
        return Workspace.open(str(self.folder))

    def token(self, secret: str | None = None) -> Answer:
        """Ask the identity endpoint for a token."""
        variables = self.connection.variables()
        header = variables["IDENTITY_HEADER"] if secret is None else secret
        url = f"{variables['IDENTITY_ENDPOINT']}?api-version=2019-08-01&resource=https%3A%2F%2Fml.azure.com"
        return self.ask("GET", url, headers={"X-IDENTITY-HEADER": header})

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask the service for a path in the workspace, with a token."""
        allowed = {"Authorization": f"Bearer {self.token().data['access_token']}"}
        return self.ask(method, f"{self.connection.origin}{HOME}{path}", body, {**allowed, **(headers or {})})

    def ask(self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for a URL. A body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        request = Request(url, data, {**kind, **(headers or {})}, method=method)  # noqa: S310 - of our own
        context = ssl.create_default_context(cafile=str(self.connection.bundle))
        try:
            with urlopen(request, timeout=DEADLINE, context=context) as response:  # noqa: S310 - of our own
                return Answer(response.status, response.headers, response.read().decode())
        except HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read().decode())

    def end(self, job: str) -> str:
        """Wait until a job has ended, and return its status."""
        process = self.process_of(job)
        if process is not None:
            wait_until_over(process.pid)
        status = self.call("GET", f"/jobs/{job}").data["properties"]["status"]
        assert status in {"Completed", "Failed", "Canceled"}, (self.folder / "jobs" / job / "runner.log").read_text()
        return str(status)

    def process_of(self, job: str) -> psutil.Process | None:
        """The job's process, if it is there."""
        with self.workspace() as workspace:
            return process_of(workspace, job)

    def predictions(self, job: str) -> str:
        """What a job has predicted."""
        return (self.folder / "jobs" / job / "named-outputs/score/predictions.csv").read_text()

    def reach(self, job: str, status: str) -> None:
        """Wait until a job is in this state."""
        with self.workspace() as workspace:
            wait_for(lambda: workspace.jobs.get(job).status.value == status)
