"""Requests that no client would send: each is answered, with no 5xx, no traceback, and a refusal in the right form."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import fromstring

import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from served import HOME, Server

from batchtwin.azure.server import app, discovery, identity, logs
from batchtwin.azure.server.place import BLOBS

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


@dataclass(frozen=True)
class Asked:
    """A request as it goes out; `path` is quoted."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    plain: bool = False


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
    found = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    pairs = [(method, route.path) for route in found for method in sorted(route.methods)]
    return [(method, _fill(path, home)) for method, path in pairs]


def _fill(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path


text = st.one_of(st.sampled_from(WORDS), st.sampled_from(VALUES), st.text(st.characters(codec="utf-8"), max_size=20))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text)
keys = st.one_of(st.sampled_from(KEYS), st.sampled_from(WORDS))
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
)
resources = st.builds(
    lambda properties, more: {**more, "properties": properties},
    st.dictionaries(st.sampled_from(KEYS), documents, max_size=8),
    st.dictionaries(st.sampled_from(KEYS[:5]), leaves, max_size=2),
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.sampled_from([b"{", b"[" * 2000, b"null", b'{"properties": null}', b'"\\ud800"', b"\xff\xfe", b"NaN", b"1e999"]),
    documents.map(lambda data: json.dumps(data).encode()),
    resources.map(lambda data: json.dumps(data).encode()),
    resources.map(lambda data: json.dumps(data).encode()),
)
# A header carries Latin-1, and no line breaks.
header_values = st.one_of(
    st.sampled_from(VALUES),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30),
).map(str.strip)


@st.composite
def asked(draw: st.DrawFn, known: list[tuple[str, str]], query: str = "") -> Asked:
    """A request to a route that there is, or nearly."""
    method, path = draw(st.sampled_from(known))
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "X"]))
    parts = [_part(draw, part) for part in path.split("/")]
    pairs = draw(st.lists(st.tuples(st.sampled_from(QUERIES), text), max_size=3))
    asked_for = "&".join(filter(None, [*(f"{name}={quote(value, safe='')}" for name, value in pairs), query]))
    headers = draw(st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=4))
    encoded = {name: value.encode("latin-1").decode("latin-1") for name, value in headers.items()}
    body = None if method in {"GET", "HEAD", "TRACE"} else draw(bodies)
    return Asked(method, "/".join(parts) + (f"?{asked_for}" if asked_for else ""), encoded, body)


def _part(draw: st.DrawFn, part: str) -> str:
    if not part.startswith("{"):
        return part
    return quote(draw(text), safe=draw(st.sampled_from(["", "/", "/."])))


def check(sent: Asked, answer: http.client.HTTPResponse, body: bytes) -> None:
    """An answer, whatever it says, in the form of the service."""
    shown = f"{sent}\n{answer.status} {body[:2000]!r}"
    assert answer.status < 500, shown
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


@pytest.fixture(params=["service", "blobs", "plain"])
def face(
    request: pytest.FixtureRequest, ready: Server
) -> Iterator[tuple[Line, st.SearchStrategy[Asked], dict[str, str]]]:
    """A line, what is asked over it, and the headers that open it."""
    plain = request.param == "plain"
    line = line_to(ready, plain)
    opened = {} if plain else {"Authorization": f"Bearer {ready.token().data['access_token']}"}
    if plain:
        found = asked(routes([identity.router(1, "x")]))
    elif request.param == "service":
        found = asked(routes([*(module.router for module in app.GUARDED), discovery.router, logs.router]))
    else:
        store = ready.call("POST", f"/datastores/{CONTAINER}/listSecrets", {})
        methods = ("GET", "HEAD", "PUT", "DELETE")
        known = [
            (method, f"{BLOBS}/{CONTAINER}{path}") for method in methods for path in ("", "/{blob}", "/fuzz/{blob}")
        ]
        found = asked(known, store.data["sasToken"])
    yield line, found, opened
    line.close()


def test_no_request_breaks_the_server(
    face: tuple[Line, st.SearchStrategy[Asked], dict[str, str]], ready: Server, record_property: Any
) -> None:
    line, requests, opened = face
    end = time.monotonic() + SECONDS / 3
    count: dict[int, int] = {}

    @seed(SEED)
    @settings(max_examples=4000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests)
    def ask(sent: Asked) -> None:
        if time.monotonic() > end:
            return
        answer, body = line.send(Asked(sent.method, sent.path, opened | sent.headers, sent.body))
        count[answer.status] = count.get(answer.status, 0) + 1
        check(sent, answer, body)

    try:
        ask()
    finally:
        record_property(
            "said", f"BATCHTWIN_FUZZ_SEED={SEED}: {sum(count.values())} requests, {dict(sorted(count.items()))}"
        )
    assert ready.call("GET", "/batchEndpoints").status == 200
