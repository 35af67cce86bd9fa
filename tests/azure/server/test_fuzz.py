"""Requests that no client would send: each is answered, with no 5xx, no traceback, and a refusal in the right form."""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import fromstring

import pytest
from fastapi.routing import APIRoute
from served import HOME, Server

from batchtwin.azure.rest import app, auth
from batchtwin.azure.rest.routes import discovery, logs
from batchtwin.azure.rest.scope import BLOBS

SECONDS = float(os.environ.get("BATCHTWIN_FUZZ_SECONDS", "25"))
SEED = int(os.environ.get("BATCHTWIN_FUZZ_SEED", "0")) or secrets.randbits(32)
CONTAINER = "workspaceblobstore"
# What a path or a query may hold that a careless server trips over, and what is there.
WORDS = [
    *("fuzz", "cluster", "1", "latest", "workspaceblobstore", "batchscoring", "local"),
    *(
        "..",
        ".",
        "%",
        "a/b",
        "../../etc/passwd",
        "\x00",
        "\n",
        "a b",
        "é",
        "\u202e",
        "x" * 300,
        "-1",
        "1e9",
        "{0}",
        "*",
    ),
    *("'; DROP TABLE assets; --", "azureml:fuzz:1", "azureml:fuzz@latest", "true", "null", "99999999999999999999"),
]
KEYS = [
    *("properties", "location", "tags", "description", "isArchived", "isAnonymous", "modelUri", "modelType", "flavors"),
    *("dataUri", "dataType", "codeUri", "image", "condaFile", "build", "computeType", "vmSize", "scaleSettings"),
    *("minNodeCount", "maxNodeCount", "nodeIdleTimeBeforeScaleDown", "authMode", "defaults", "deploymentName"),
    *("model", "referenceType", "assetId", "compute", "resources", "instanceCount", "outputAction", "outputFileName"),
    *("retrySettings", "maxRetries", "timeout", "loggingLevel", "miniBatchSize", "maxConcurrencyPerInstance"),
    *("errorThreshold", "environmentVariables", "codeConfiguration", "codeId", "scoringScript", "environmentId"),
    *("InputData", "inputData", "OutputData", "JobInputType", "jobInputType", "Uri", "uri", "name", "runId", "values"),
    *("datasetType", "outputDataset", "datastoreId", "path", "expirableSecret", "expireAfterHours", "experimentName"),
]
QUERIES = [
    *("api-version", "$top", "$orderBy", "$skip", "hash", "hashVersion", "listViewType", "isDefault", "resource"),
    *("comp", "restype", "prefix", "delimiter", "marker", "maxresults", "include", "blockid", "timeout", "list"),
]
HEADERS = [
    *("azureml-model-deployment", "repeatability-request-id", "content-type", "if-match", "if-none-match", "range"),
    *("x-ms-range", "x-ms-blob-type", "x-ms-meta-a", "x-ms-version", "x-ms-client-request-id", "content-md5"),
    *("if-modified-since", "x-identity-header", "accept-encoding", "x-ms-range-get-content-md5", "cookie", "forwarded"),
]
VALUES = [
    *("application/json", "application/xml", "*", "bytes=0-", "bytes=9-1", "BlockBlob", "AppendRow", "UriFolder"),
    *(
        "PT5M",
        "PT",
        "-PT1S",
        "P99999999999D",
        "true",
        "",
        "0",
        "-1",
        "list",
        "block",
        "blocklist",
        "metadata",
        "container",
    ),
    *("ActiveOnly", "All", "createdtime desc", "uri_folder", "mlflow_model", "AmlCompute", "aadToken", "MA=="),
    *("azureml://datastores/workspaceblobstore/paths/../../x", "azureml://datastores/workspaceblobstore/paths/fuzz/a"),
    *(
        f"{HOME}/models/fuzz/versions/1",
        f"{HOME}/computes/cluster",
        "file:///etc/passwd",
        "/etc",
        "https://example.com/",
    ),
]
BODIES = [
    *(
        None,
        b"",
        b"{",
        b"[" * 2000,
        b"null",
        b'{"properties": null}',
        b'"\\ud800"',
        b"\xff\xfe",
        b"NaN",
        b"1e999",
        b"[]",
    ),
    *(
        b"<BlockList/>",
        b"<BlockList><Latest>MA==</Latest></BlockList>",
        b"<!DOCTYPE x [<!ENTITY e 'x'>]><BlockList>&e;",
    ),
]


@dataclass(frozen=True)
class Asked:
    """A request as it goes out; `path` is quoted."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


@dataclass
class Line:
    """A connection that is kept."""

    open: Callable[[], http.client.HTTPConnection]
    now: http.client.HTTPConnection | None = field(default=None)

    def send(self, asked: Asked) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request. A connection that the server has closed since is opened again, once."""
        for again in (True, False):
            connection = self.now = self.now or self.open()
            try:
                connection.request(asked.method, asked.path, asked.body, asked.headers)
                answer = connection.getresponse()
                body = answer.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                self.close()
                if not again:
                    raise
                continue
            if answer.will_close:
                self.close()
            return answer, body
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End it."""
        if self.now is not None:
            self.now.close()
        self.now = None


def routes(routers: Any) -> list[tuple[str, str]]:
    """Method and path of what the server knows, the workspace's name filled in."""
    home = {"subscription": "s", "group": "g", "workspace": "w"}
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    pairs = [(method, route.path) for route in routes for method in sorted(route.methods or ())]
    return [(method, _fill(path, home)) for method, path in pairs]


def _fill(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path


class Source:
    """Requests made up by chance, the same for the same seed."""

    def __init__(self, number: int, known: Sequence[tuple[str, str]], query: str = "") -> None:
        self._random = random.Random(number)  # noqa: S311 - to be repeated
        self._known = known
        self._query = query

    def asked(self, opened: dict[str, str]) -> Asked:
        """A request to a route that there is, or nearly; `opened` are the headers that let it in."""
        pick = self._random
        method, path = pick.choice(self._known)
        if pick.random() < 0.1:
            method = pick.choice(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "X"])
        query = [
            f"{pick.choice(QUERIES)}={quote(self._text(), safe='')}" for _ in range(pick.choice([0, 0, 1, 1, 2, 3]))
        ]
        pairs = "&".join(filter(None, [*query, self._query]))
        headers = {pick.choice(HEADERS): self._header() for _ in range(pick.randrange(4))}
        body = None if method in {"GET", "HEAD", "TRACE"} else self._body()
        target = "/".join(map(self._part, path.split("/"))) + (f"?{pairs}" if pairs else "")
        return Asked(method, target, {"content-type": "application/json"} | opened | headers, body)

    def _part(self, part: str) -> str:
        return quote(self._text(), safe=self._random.choice(["", "/", "/."])) if part.startswith("{") else part

    def _text(self) -> str:
        kind = self._random.random()
        if kind < 0.85:
            return self._random.choice(WORDS if kind < 0.5 else VALUES)
        letters = (
            chr(self._random.choice([self._random.randrange(128), self._random.randrange(0xD800)])) for _ in range(8)
        )
        return "".join(letters)

    def _header(self) -> str:
        """A header carries Latin-1, without control characters."""
        if self._random.random() < 0.8:
            return self._random.choice(VALUES)
        letters = (chr(self._random.choice([*range(32, 127), *range(160, 256)])) for _ in range(12))
        return "".join(letters).strip()

    def _body(self) -> bytes | None:
        kind = self._random.random()
        if kind < 0.15:
            return self._random.choice(BODIES)
        if kind < 0.2:
            return self._random.randbytes(40)
        if kind < 0.35:
            return json.dumps(self._document(3)).encode()
        resource = {self._random.choice(KEYS[:5]): self._leaf() for _ in range(self._random.randrange(2))}
        properties = {self._random.choice(KEYS): self._document(2) for _ in range(self._random.randrange(8))}
        return json.dumps(resource | {"properties": properties}).encode()

    def _document(self, depth: int) -> Any:
        kind = self._random.random() if depth else 0
        if kind < 0.6:
            return self._leaf()
        if kind < 0.7:
            return [self._document(depth - 1) for _ in range(self._random.randrange(4))]
        names = (self._random.choice(KEYS if self._random.random() < 0.9 else WORDS) for _ in range(4))
        return {name: self._document(depth - 1) for name in names}

    def _leaf(self) -> Any:
        numbers: list[Any] = [None, True, False, 0, 1, -1, 2.5, 10**30, float("nan"), float("inf"), 1e-300, [], {}, ""]
        return self._random.choice(numbers) if self._random.random() < 0.3 else self._text()


def check(sent: Asked, answer: http.client.HTTPResponse, body: bytes) -> None:
    """An answer, whatever it says, in the form of the service."""
    shown = f"{sent}\n{answer.status} {body[:2000]!r}"
    assert answer.status < 500 or answer.status == 501, shown  # what does not run here is not implemented
    assert b"Traceback" not in body, shown
    if answer.status < 400 or not body:
        return
    if sent.path.startswith(f"{BLOBS}/") and answer.headers["x-ms-error-code"]:
        assert fromstring(body).findtext("Code") == answer.headers["x-ms-error-code"], shown  # noqa: S314 - our own
    else:
        assert set(json.loads(body)["error"]) >= {"code", "message"}, shown


@pytest.fixture(scope="module")
def ready(server: Server) -> Server:
    """A server with something in it."""
    for path, properties in (
        ("/computes/cluster", {"computeType": "AmlCompute", "properties": {}}),
        ("/batchEndpoints/fuzz", {"authMode": "aadToken"}),
    ):
        assert server.call("PUT", path, {"location": "local", "properties": properties}).status in {200, 201}
    return server


def line_to(server: Server, plain: bool) -> Line:
    """A connection to the service, or to what goes without TLS."""
    connection = server.connection
    if plain:
        return Line(lambda: http.client.HTTPConnection("localhost", connection.http_port, timeout=60))
    context = ssl.create_default_context(cafile=str(connection.bundle))
    port = connection.https_port
    return Line(lambda: http.client.HTTPSConnection("localhost", port, timeout=60, context=context))


def source(server: Server, face: str) -> Source:
    """What is asked of a face of the server."""
    if face == "plain":
        return Source(SEED, routes([auth.router("https://localhost:1", "x")]))
    if face == "service":
        return Source(SEED, routes([*(module.router for module in app.GUARDED), discovery.router, logs.router]))
    store = server.call("POST", f"/datastores/{CONTAINER}/listSecrets", {})
    methods = ("GET", "HEAD", "PUT", "DELETE")
    paths = [f"{BLOBS}/{CONTAINER}{path}" for path in ("", "/{blob}", "/fuzz/{blob}")]
    return Source(SEED, [(method, path) for method in methods for path in paths], store.data["sasToken"])


@pytest.mark.parametrize("face", ["service", "blobs", "plain"])
def test_no_request_breaks_the_server(face: str, ready: Server, record_property: Any) -> None:
    line, made = line_to(ready, face == "plain"), source(ready, face)
    opened = {
        "service": {"Authorization": f"Bearer {ready.token().data['access_token']}"},
        "blobs": {"x-ms-blob-type": "BlockBlob"},
        "plain": {},
    }[face]
    count: Counter[int] = Counter()
    end = time.monotonic() + SECONDS / 3
    try:
        while time.monotonic() < end:
            sent = made.asked(opened if count.total() % 10 else {})
            answer, body = line.send(sent)
            count[answer.status] += 1
            check(sent, answer, body)
    finally:
        line.close()
        note = f"BATCHTWIN_FUZZ_SEED={SEED}: {count.total()} requests, {dict(sorted(count.items()))}"
        record_property("note", note)
    assert ready.call("GET", "/batchEndpoints").status == 200
