"""What the server refuses: always 4xx, always as ARM says it, never with a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from served import HOME, Server

from batchtwin.azure.rest.middleware import LARGEST_BODY
from batchtwin.azure.rest.scope import BLOBS

MODEL = {"properties": {"modelUri": "azureml://datastores/workspaceblobstore/paths/x"}}


@pytest.mark.refused("any", "no token, or a wrong one")
@pytest.mark.parametrize(
    "path", ["", "/models", "/batchEndpoints", "/jobs/x", "/datastores/workspaceblobstore/listSecrets", "/nothing"]
)
@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer x.y.z", "Basic eDp5"])
def test_no_token_or_a_wrong_one_is_401(server: Server, path: str, token: str | None) -> None:
    method = "POST" if path.endswith("listSecrets") else "GET"
    headers = {} if token is None else {"Authorization": token}
    answer = server.ask(method, f"{server.connection.origin}{HOME}{path}", headers=headers)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.error


def test_a_token_that_is_signed_by_another_is_401(server: Server) -> None:
    import jwt

    claims = jwt.decode(server.token().data["access_token"], options={"verify_signature": False})
    for token in (jwt.encode(claims, "k" * 32, "HS256"), jwt.encode(claims, "", "none")):
        headers = {"Authorization": f"Bearer {token}"}
        answer = server.ask("GET", f"{server.connection.origin}{HOME}", headers=headers)
        assert answer.status == 401


def test_a_name_of_an_operation_is_no_token(server: Server) -> None:
    body = {"properties": {"computeType": "AmlCompute"}}
    made = server.call("PUT", "/computes/for-token", body)
    name = made.headers["Azure-AsyncOperation"].rpartition("/")[2]
    headers = {"Authorization": f"Bearer {name}"}
    assert server.ask("GET", f"{server.connection.origin}{HOME}", headers=headers).status == 401


@pytest.mark.parametrize("secret", ["", "local", "x" * 5000])
def test_no_token_for_whoever_does_not_know_the_header(server: Server, secret: str) -> None:
    answer = server.token(secret)
    assert answer.status == 401
    assert "access_token" not in answer.text


@pytest.mark.refused("any", "bodies that are malformed")
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"properties": 1}'])
@pytest.mark.parametrize("path", ["/models/m/versions/1", "/computes/c", "/batchEndpoints/e"])
def test_malformed_bodies_are_400(server: Server, path: str, body: bytes) -> None:
    answer = server.call("PUT", path, body)
    assert answer.status == 400
    assert answer.error


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/..%2F..%2Fx/versions/1", MODEL),
        ("/models/a%00b/versions/1", MODEL),
        ("/models/m/versions/..%2f1", MODEL),
        ("/models/m/versions/1%20", MODEL),
        (f"/models/{'m' * 300}/versions/1", MODEL),
        ("/batchEndpoints/a", {"properties": {}}),
        ("/batchEndpoints/9lives", {"properties": {}}),
        ("/batchEndpoints/a_b_c", {"properties": {}}),
        ("/computes/-x", {"properties": {"computeType": "AmlCompute"}}),
        ("/computes/cluster", {"properties": {"computeType": "Kubernetes"}}),
        ("/environments/x%2Fy/versions/1", {"properties": {"image": "python"}}),
        ("/codes/x%2Fy/versions/1", {"properties": {"codeUri": "x"}}),
    ],
)
def test_names_outside_the_rules(server: Server, path: str, body: Any) -> None:
    answer = server.call("PUT", path, body)
    assert answer.status in {400, 404}
    assert answer.error


@pytest.mark.refused("`models`, `codes`", "content that was not uploaded: no path of this machine")
@pytest.mark.parametrize(
    "address",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "azureml://datastores/workspaceblobstore/paths/../../../etc/passwd",
        "azureml://datastores/workspaceblobstore/paths/%2e%2e/%2e%2e/workspace.sqlite",
        "azureml://datastores/../paths/workspace.sqlite",
        "azureml://datastores/workspaceblobstore/paths//etc/passwd",
        "azureml://datastores/workspaceblobstore/paths/.",
        "azureml://datastores/workspaceblobstore/paths/a\0b",
        f"https://localhost{BLOBS}/workspaceblobstore/../../workspace.sqlite",
        f"https://localhost{BLOBS}/workspaceblobstore/%2e%2e/%2e%2e/workspace.sqlite",
        "https://example.com/model",
        "nothing",
        "",
        "\ud800",
    ],
)
@pytest.mark.parametrize("kind", ["models", "codes"])
def test_content_is_only_what_was_uploaded(server: Server, kind: str, address: str) -> None:
    key = "modelUri" if kind == "models" else "codeUri"
    answer = server.call("PUT", f"/{kind}/stolen/versions/1", {"properties": {key: address}})
    assert answer.status == 400
    assert answer.error
    assert server.call("GET", f"/{kind}/stolen/versions/1").status == 404


def test_a_body_that_is_too_long_is_413(server: Server) -> None:
    body = {"properties": {"modelUri": "x" * LARGEST_BODY}}
    answer = server.call("PUT", "/models/m/versions/1", body)
    assert answer.status == 413
    assert answer.error


def test_a_body_that_does_not_say_how_long_it_is_is_413_too(server: Server) -> None:
    import http.client
    import ssl

    context = ssl.create_default_context(cafile=str(server.connection.bundle))
    client = http.client.HTTPSConnection("localhost", server.connection.https_port, context=context, timeout=60)
    chunk = b"x" * 65536
    token = server.token().data["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = (chunk for _ in range(LARGEST_BODY // len(chunk) + 2))
    client.request("PUT", f"{HOME}/models/m/versions/1", body, headers, encode_chunked=True)
    assert client.getresponse().status == 413
    client.close()


@pytest.mark.parametrize(
    "tags", [{"a": "\0"}, {"\ud800": "x"}, {"a": "\ud800"}, {"a": float("nan")}, {"a": float("inf")}]
)
def test_what_no_database_can_keep(server: Server, tags: dict[str, Any]) -> None:
    answer = server.call("PUT", "/batchEndpoints/unkept", {"properties": {}, "tags": tags})
    assert answer.status == 400
    assert server.call("GET", "/batchEndpoints/unkept").status == 404


def test_names_that_no_file_can_have(server: Server) -> None:
    address = f"azureml://datastores/workspaceblobstore/paths/{'x' * 300}/y"
    assert server.call("PUT", "/models/long/versions/1", {"properties": {"modelUri": address}}).status == 400


@pytest.mark.parametrize("host", ["", "a b", "evil.example/path", "x:y", "@", "a" * 300])
def test_a_host_that_is_none_is_400(server: Server, host: str) -> None:
    answer = server.call("GET", "", headers={"Host": host})
    assert answer.status == 400


@pytest.mark.refused("pipelines, components, online endpoints, schedules and the like", "a sentence on what runs here")
@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/components", 404, "components and pipelines do not run here"),
        ("GET", "/components/c/versions/1", 404, "put the steps into one scoring script"),
        ("PUT", "/components/c/versions/1", 501, "components and pipelines do not run here"),
        ("PUT", "/onlineEndpoints/e", 501, "online endpoints do not run here"),
        ("GET", "/onlineEndpoints/e/deployments", 404, "score a folder of files"),
        ("PUT", "/serverlessEndpoints/e", 501, "online endpoints do not run here"),
        ("PUT", "/schedules/s", 501, "call batch-endpoint invoke from cron"),
        ("DELETE", "/featuresets/f/versions/1", 501, "feature stores do not run here"),
        ("PUT", "/jobs/j", 501, "jobs come from batch-endpoint invoke"),
        ("PUT", "", 501, "here is one workspace, under any name"),
        ("PATCH", "/models/m/versions/1", 405, "this call is not imitated"),
        ("POST", "/none/x/y/z", 404, "this call is not imitated"),
    ],
)
def test_what_does_not_run_here(server: Server, method: str, path: str, status: int, text: str) -> None:
    answer = server.call(method, path, {} if method in {"PUT", "POST", "PATCH"} else None)
    assert (answer.status, text in answer.error) == (status, True), answer.error


@pytest.mark.refused("what is not imitated", "404 or 405, in ARM's form")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/models/none", 404),
        ("GET", "/models/none/versions/1", 404),
        ("GET", "/data/none/versions/1", 404),
        ("GET", "/environments/none/versions/1", 404),
        ("GET", "/codes/none/versions/1", 404),
        ("GET", "/computes/none", 404),
        ("DELETE", "/computes/none", 404),
        ("GET", "/batchEndpoints/none", 404),
        ("DELETE", "/batchEndpoints/none", 404),
        ("GET", "/batchEndpoints/none/deployments", 404),
        ("GET", "/batchEndpoints/none/deployments/none", 404),
        ("GET", "/batchEndpoints/none/jobs", 404),
        ("GET", "/datastores/none", 404),
        ("POST", "/datastores/none/listSecrets", 404),
        ("GET", "/jobs/none", 404),
        ("POST", "/jobs/none/cancel", 404),
        ("GET", "/components/none", 404),
        ("GET", "/none", 404),
        ("PATCH", "/batchEndpoints/none", 405),
        ("DELETE", "/models/none/versions/1", 405),
    ],
)
def test_what_is_not_there(server: Server, method: str, path: str, status: int) -> None:
    answer = server.call(method, path)
    assert answer.status == status
    assert answer.error


def test_a_log_needs_its_signature(server: Server) -> None:
    answer = server.ask("GET", f"{server.connection.origin}/logs/none/executionlogs.txt?sig=x")
    assert answer.status == 403
    assert answer.error


@pytest.fixture
def operation(server: Server) -> Callable[[str], int]:
    """Ask after an operation."""

    def ask(name: str) -> int:
        headers = {"Authorization": f"Bearer {server.token().data['access_token']}"}
        path = f"/subscriptions/x/providers/Microsoft.MachineLearningServices/locations/local/operations/{name}"
        return server.ask("GET", f"{server.connection.origin}{path}", headers=headers).status

    return ask


def test_an_operation_that_never_was(operation: Callable[[str], int], server: Server) -> None:
    assert operation("x") == 404
    assert operation(server.token().data["access_token"]) == 404
