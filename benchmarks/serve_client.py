"""A client of `batchtwin serve` with the requests that the Azure SDK sends, without the weight of the SDK."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from batchtwin.azure.connection import GROUP, SUBSCRIPTION, WORKSPACE, Connection
from batchtwin.azure.rest.scope import BLOBS, WORKSPACE_PATH

HOME = WORKSPACE_PATH.format(subscription=SUBSCRIPTION, group=GROUP, workspace=WORKSPACE)
STORE = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/workspaces/{WORKSPACE}"
STORE += "/datastores/workspaceblobstore/paths"
SCRIPT = "def run(files):\n    return [open(file).read().strip() for file in files]\n"
FINAL = {"Completed", "Failed", "Canceled"}
POLL_SECONDS = 0.5


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
        """Set up, and then run jobs until time is up; on a busy machine, until there was one at all."""
        try:
            self.set_up()
            while time.monotonic() < self.end or not self.tally.jobs:
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
