"""Many clients at once on one `batchtwin serve`, with the requests that the Azure SDK sends (`make bench-serve`).

Each client uploads a model, code and data, creates endpoint and deployment, and then invokes, polls and reads its
output, again and again, until time is up. It fails with exit code 1 on any answer that is not as it should be, or a job
that is lost, failed, or has other predictions. Also: time to start, memory and CPU while idle.

Jobs are real processes; `--jobs` says how many run at once, for they, and not the server, are what the CPUs are for.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil

from batchtwin.azure.connection import GROUP, SUBSCRIPTION, WORKSPACE, Connection
from batchtwin.azure.server.place import BLOBS, WORKSPACE_PATH

COMMAND = Path(sys.executable).with_name("batchtwin")
HOME = WORKSPACE_PATH.format(subscription=SUBSCRIPTION, group=GROUP, workspace=WORKSPACE)
STORE = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/workspaces/{WORKSPACE}"
STORE += "/datastores/workspaceblobstore/paths"
SCRIPT = "def run(files):\n    return [open(file).read().strip() for file in files]\n"
FINAL = {"Completed", "Failed", "Canceled"}
POLL_SECONDS = 0.5
IDLE_SECONDS = 10.0


@dataclass
class Tally:
    """What all clients together have seen. `slowest` is in seconds."""

    answers: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        with self.lock:
            self.answers[status] += 1
            self.slowest = max(self.slowest, seconds)

    def failed(self, text: str) -> None:
        """Keep an error."""
        with self.lock:
            self.errors.append(text)


class Unexpected(Exception):
    """An answer that is not as it should be."""


@dataclass
class Client:
    """One client, on a connection of its own."""

    number: int
    connection: Connection
    tally: Tally
    slots: threading.Semaphore
    end: float
    context: ssl.SSLContext
    token: str
    line: http.client.HTTPSConnection | None = None
    operation: str = ""

    @property
    def name(self) -> str:
        """The name of all that this client makes."""
        return f"load-{self.number}"

    def work(self) -> None:
        """Set up, and then run jobs until time is up."""
        try:
            self.set_up()
            while time.monotonic() < self.end:
                self.run_a_job()
        except (Unexpected, OSError, http.client.HTTPException, KeyError, ValueError) as error:
            self.tally.failed(f"client {self.number}: {type(error).__name__}: {error}")
        finally:
            if self.line:
                self.line.close()

    def set_up(self) -> None:
        """What the SDK does to create model, code, data, compute, endpoint and deployment."""
        self.call("GET", "/datastores/workspaceblobstore")
        sas = self.call("POST", "/datastores/workspaceblobstore/listSecrets", {"expirableSecret": True})["sasToken"]
        model = self.upload(sas, "model/weights.txt", str(self.number).encode())
        self.put(f"/models/{self.name}/versions/1", modelUri=f"{STORE}/{model}/model", modelType="custom_model")
        data = self.upload(sas, "data/0.txt", str(self.number).encode())
        self.put(f"/data/{self.name}/versions/1", dataUri=f"{STORE}/{data}/data", dataType="uri_folder")
        code = self.upload(sas, "code/driver.py", SCRIPT.encode() + f"# {self.number}\n".encode())
        self.put(f"/codes/{self.name}/versions/1", codeUri=f"{STORE}/{code}/code")
        self.put(f"/environments/{self.name}/versions/1", image="python:3.11")
        self.create("/computes/cluster", computeType="AmlCompute", properties={"vmSize": "STANDARD_DS3_V2"})
        self.create(f"/batchEndpoints/{self.name}", authMode="aadToken")
        self.create(
            f"/batchEndpoints/{self.name}/deployments/only",
            model={"referenceType": "Id", "assetId": f"{HOME}/models/{self.name}/versions/1"},
            codeConfiguration={"codeId": f"{HOME}/codes/{self.name}/versions/1", "scoringScript": "driver.py"},
            environmentId=f"{HOME}/environments/{self.name}/versions/1",
            compute=f"{HOME}/computes/cluster",
            miniBatchSize=1,
            outputAction="AppendRow",
        )
        self.create(f"/batchEndpoints/{self.name}", authMode="aadToken", defaults={"deploymentName": "only"})

    def run_a_job(self) -> None:
        """Invoke, poll to the end, read the output; between two jobs, look at what there is."""
        if not self.slots.acquire(timeout=POLL_SECONDS):
            self.call("GET", f"/batchEndpoints/{self.name}")
            self.call("GET", f"/batchEndpoints/{self.name}/deployments")
            return
        try:
            uri = f"{HOME}/data/{self.name}/versions/1"
            given = {"inputData": {"data": {"jobInputType": "UriFolder", "uri": uri}}}
            job = str(self.call("POST", f"/batchEndpoints/{self.name}/jobs", {"properties": given})["name"])
            with self.tally.lock:
                self.tally.jobs[job] = "NotStarted"
            status = self.follow(job)
        finally:
            self.slots.release()
        with self.tally.lock:
            self.tally.jobs[job] = status
        if status != "Completed":
            raise Unexpected(f"job {job}: {status}")
        self.read(job)

    def follow(self, job: str) -> str:
        """Poll the run until it has ended, and return its status."""
        while True:
            status = str(self.call("GET", f"/runs/{job}/details", before="/history/v1.0")["status"])
            if status in FINAL:
                return status
            time.sleep(POLL_SECONDS)

    def read(self, job: str) -> None:
        """Find and read the output of a job, as the SDK does."""
        [child] = self.call("GET", f"/runs/{job}/children", before="/history/v1.0")["value"]
        asset = self.call("POST", "/rundata", {"runId": child["runId"]}, before="/history/v1.0")
        wanted = asset["runMetadata"]["outputs"]["score"]["assetId"]
        asked = {"values": [wanted]}
        uri = self.call("POST", "/dataversion/batchGetResolvedUris", asked, before="/data/v1.0")["values"][wanted][
            "uri"
        ]
        sas = self.call("POST", "/datastores/workspaceblobstore/listSecrets", {})["sasToken"]
        path = f"{BLOBS}/workspaceblobstore/{uri.partition('/paths/')[2].rstrip('/')}/predictions.csv?{sas}"
        predictions = self.send("GET", path)
        if predictions != f"{self.number}\n".encode():
            raise Unexpected(f"job {job}: predictions {predictions!r}")

    def upload(self, sas: str, name: str, content: bytes) -> str:
        """Upload a file as the SDK does; return the folder that it is in."""
        folder = f"LocalUpload/{hashlib.sha256(content).hexdigest()}"
        path = f"{BLOBS}/workspaceblobstore/{folder}/{quote(name)}?{sas}"
        self.send("PUT", path, content, {"x-ms-blob-type": "BlockBlob"})
        self.send("PUT", f"{path}&comp=metadata", b"", {"x-ms-meta-upload_status": "completed"})
        return folder

    def put(self, path: str, **properties: Any) -> dict[str, Any]:
        """Register a version."""
        return self.call("PUT", path, {"properties": properties})

    def create(self, path: str, **properties: Any) -> None:
        """Create a resource, wait for the operation, and look at it."""
        self.call("PUT", path, {"location": "local", "properties": properties})
        while self.operation:
            if self.call("GET", self.operation, before=None)["status"] != "InProgress":
                break
        self.call("GET", path)

    def call(self, method: str, path: str, body: Any = None, before: str | None = "") -> dict[str, Any]:
        """Ask for a path in the workspace, or with `before=None` for any; return the answer's JSON."""
        text = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        whole = path if before is None else f"{before}{HOME}{path}"
        answer: dict[str, Any] = json.loads(self.send(method, whole, text, headers))
        return answer

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        """Send a request; return the body of its answer, which must be a good one."""
        started = time.monotonic()
        if self.line is None:
            self.line = http.client.HTTPSConnection(
                "localhost", self.connection.https_port, timeout=120, context=self.context
            )
        try:
            self.line.request(method, path, body, headers or {})
            answer = self.line.getresponse()
            said = answer.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A kept connection that the server has closed since; a client opens it again.
            if time.monotonic() - started > 1:
                raise
            self.line.close()
            self.line = None
            return self.send(method, path, body, headers)
        operation = urlsplit(answer.headers["Azure-AsyncOperation"] or "")
        self.operation = f"{operation.path}?{operation.query}" if operation.path else ""
        self.tally.answered(answer.status, time.monotonic() - started)
        if answer.status >= 300:
            raise Unexpected(f"{method} {path.partition('?')[0]}: {answer.status} {said[:300]!r}")
        return said


@dataclass(frozen=True)
class Result:
    """What came out. Seconds, megabytes, per cent of one CPU."""

    clients: int
    seconds: float
    start_seconds: float
    idle_mb: float
    idle_cpu_percent: float
    requests: int
    answers: dict[int, int]
    slowest_seconds: float
    jobs: int
    completed: int
    lost: int
    peak_mb: float
    errors: list[str]


def measure(clients: int, seconds: float, jobs: int, idle: float, workspace: Path) -> Result:
    """Start a server, let it idle, and then all clients on it."""
    env = {**os.environ, "BATCHTWIN_WORKSPACE": str(workspace), "BATCHTWIN_MLFLOW": "off"}
    started = time.monotonic()
    with subprocess.Popen([COMMAND, "serve", "--port", "0"], env=env, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout  # noqa: S101 - it is a pipe
        server.stdout.readline()
        start_seconds = time.monotonic() - started
        try:
            process = psutil.Process(server.pid)
            idle_cpu = _idle_cpu(process, idle)
            idle_mb = process.memory_info().rss / 1e6
            began = time.monotonic()
            tally, peak = _load(process, Connection.read(workspace), clients, seconds, jobs)
            took = time.monotonic() - began
        finally:
            server.terminate()
    ended = _ended(env)
    return Result(
        clients=clients,
        seconds=round(took, 1),
        start_seconds=round(start_seconds, 2),
        idle_mb=round(idle_mb, 1),
        idle_cpu_percent=round(idle_cpu, 2),
        requests=sum(tally.answers.values()),
        answers=dict(sorted(tally.answers.items())),
        slowest_seconds=round(tally.slowest, 2),
        jobs=len(tally.jobs),
        completed=sum(ended.get(job) == "Completed" for job in tally.jobs),
        lost=len(tally.jobs.keys() - ended.keys()),
        peak_mb=round(peak / 1e6, 1),
        errors=tally.errors[:20],
    )


def _idle_cpu(process: psutil.Process, seconds: float) -> float:
    """Per cent of a CPU that a process takes with nothing to do."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds if seconds else 0.0


def _load(
    process: psutil.Process, connection: Connection, clients: int, seconds: float, jobs: int
) -> tuple[Tally, int]:
    """Let the clients work; return what they saw, and the most memory that the server took."""
    tally, slots, end = Tally(), threading.Semaphore(jobs), time.monotonic() + seconds
    context = ssl.create_default_context(cafile=str(connection.bundle))
    token = _token(connection)
    crowd = [Client(number, connection, tally, slots, end, context, token) for number in range(clients)]
    threads = [threading.Thread(target=client.work) for client in crowd]
    for thread in threads:
        thread.start()
    peak = 0
    for thread in threads:
        while thread.is_alive():
            peak = max(peak, process.memory_info().rss)
            thread.join(0.2)
    return tally, peak


def _token(connection: Connection) -> str:
    variables = connection.variables()
    line = http.client.HTTPConnection("localhost", connection.http_port, timeout=10)
    path = urlsplit(variables["IDENTITY_ENDPOINT"]).path
    line.request("GET", f"{path}?resource=x", headers={"X-IDENTITY-HEADER": variables["IDENTITY_HEADER"]})
    token = str(json.load(line.getresponse())["access_token"])
    line.close()
    return token


def _ended(env: dict[str, str]) -> dict[str, str]:
    """Status by job, as the workspace has it without the server."""
    words = [str(COMMAND), "ml", "job", "list", "--query", "[].[name, status]", "--output", "json"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)  # noqa: S603
    return dict(json.loads(done.stdout))


def main() -> int:
    """Measure, print the result as JSON; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--jobs", type=int, default=4, help="jobs that run at once")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds to watch the idle server")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchtwin-load-") as folder:
        result = measure(asked.clients, asked.seconds, asked.jobs, asked.idle, Path(folder))
    print(json.dumps(asdict(result), indent=1))
    return int(bool(result.errors) or result.lost > 0 or result.completed < result.jobs or not result.jobs)


if __name__ == "__main__":
    sys.exit(main())
