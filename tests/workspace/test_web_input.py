"""Input by `https://`: what is fetched, within which bounds, and what is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from batchtwin.inputs.public_address import is_public
from batchtwin.inputs.public_blobs import blob_address, fetch, is_remote_input
from batchtwin.inputs.public_web import ALLOW_PRIVATE, Limits, PublicWeb, WebError, refuse_private
from batchtwin.workspace.entities import JobStatus
from batchtwin.workspace.errors import InvalidError

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal

BLOBS = {"data/a 1.csv": b"1\n", "data/b.csv": b"2\n", "data/deep/c.csv": b"3\n", "other.csv": b"4\n"}
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "b">]><EnumerationResults><Blobs><Blob><Name>&a;</Name></Blob></Blobs>'


class Handler(BaseHTTPRequestHandler):
    """A public container `store` as the Blob service lists it, one blob a page; and what servers should not do."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        if path.startswith("/to/"):
            self.answer(302, b"", Location=path.removeprefix("/to/"))
        elif path == "/loop":
            self.answer(302, b"", Location="/loop")
        elif path == "/entities" or (path == "/evil" and query):
            self.answer(200, ENTITIES)
        elif path == "/short":
            self.answer(200, b"12", **{"Content-Length": "10"})
        elif path == "/store" and query.get("comp") == "list":
            self.answer(200, listing(query["prefix"], query.get("marker", "")))
        elif path.removeprefix("/store/") in BLOBS:
            self.answer(200, BLOBS[path.removeprefix("/store/")])
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send one answer."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def listing(prefix: str, marker: str) -> bytes:
    names = [name for name in BLOBS if name.startswith(prefix) and "/" not in name[len(prefix) :]]
    number = int(marker or 0)
    blobs = "".join(
        f"<Blob><Name>{name}</Name><Properties><Etag>{len(name)}</Etag></Properties></Blob>"
        for name in names[number : number + 1]
    )
    following = str(number + 1) if number + 1 < len(names) else ""
    return (
        f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>".encode()
    )


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server of this machine."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def local(**limits: int) -> PublicWeb:
    bounds = Limits()
    for name, value in limits.items():
        setattr(bounds, name, value)
    return PublicWeb(bounds, allow_private=True)


@pytest.mark.parametrize("kind", ["uri_folder", None])
def test_the_blobs_directly_below_a_prefix_are_fetched_once(server: Server, tmp_path: Path, kind: str | None) -> None:
    folder = fetch(local(), f"{server.url}/store/data", kind, tmp_path)
    assert folder.name == "data"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a 1.csv": b"1\n", "b.csv": b"2\n"}
    before = len(server.asked)
    assert fetch(local(), f"{server.url}/store/data", kind, tmp_path) == folder
    assert all("comp=list" in path for path in server.asked[before:])


@pytest.mark.parametrize("kind", ["uri_file", None])
def test_a_single_file_keeps_its_name(server: Server, tmp_path: Path, kind: str | None) -> None:
    file = fetch(local(), f"{server.url}/store/data/a%201.csv", kind, tmp_path)
    assert (file.name, file.read_bytes()) == ("a 1.csv", b"1\n")


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    assert fetch(local(), f"{server.url}/to/{server.url}/store/other.csv", "uri_file", tmp_path).read_bytes() == b"4\n"


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("store/none", "uri_folder", "no blob of a public container is below it"),
        ("store/none.csv", "uri_file", "answers 404"),
        ("loop", "uri_file", "more than 5 redirects"),
        ("to/file:///etc/passwd", "uri_file", "is no http or https address"),
        ("to/http://user:secret@127.0.0.1/", "uri_file", "holds a user"),
        ("short", "uri_file", "ended after|IncompleteRead"),
        ("evil/x", "uri_folder", "no blob of a public container"),
    ],
)
def test_what_cannot_be_fetched(server: Server, tmp_path: Path, path: str, kind: str, text: str) -> None:
    with pytest.raises(WebError, match=text):
        fetch(local(), f"{server.url}/{path}", kind, tmp_path)
    assert not list((tmp_path / "downloads").glob("*"))


@pytest.mark.parametrize(("limits", "text"), [({"bytes": 1}, "is larger"), ({"seconds": 0}, "took longer")])
def test_an_input_has_bounds(server: Server, tmp_path: Path, limits: dict[str, int], text: str) -> None:
    with pytest.raises(WebError, match=text):
        fetch(local(**limits), f"{server.url}/store/other.csv", "uri_file", tmp_path)


def test_headers_that_drip_do_not_hold_it_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ended.wait(0.05):
                    connection.sendall(b"x")

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(WebError):
            fetch(local(seconds=1), f"http://127.0.0.1:{listener.getsockname()[1]}/x", "uri_file", tmp_path)
        ended.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_this_machine_is_refused_where_the_connection_is_made(server: Server, tmp_path: Path, host: str) -> None:
    with pytest.raises(WebError, match=r"this machine or in a private network; --allow-private|Address family"):
        fetch(PublicWeb(Limits()), f"http://{host}:{server.server_port}/store/other.csv", "uri_file", tmp_path)
    assert server.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2600::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("168.63.129.16", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("255.255.255.255", False),
        ("224.0.0.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0177.0.0.1", "::1", "fe80::1%eth0", "localhost", "a.localhost"]
)
def test_a_host_that_says_that_it_is_private(host: str) -> None:
    with pytest.raises(WebError):
        refuse_private(host)


def test_a_name_is_looked_up_later() -> None:
    refuse_private("example.com")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://a.blob.core.windows.net/c/x y", None),
        ("https://a.blob.core.windows.net/c/x", "https://a.blob.core.windows.net/c/x"),
        ("wasbs://c@a.blob.core.windows.net/x/y", "https://a.blob.core.windows.net/c/x/y"),
        ("wasb://c@a.blob.core.windows.net", "https://a.blob.core.windows.net/c"),
        ("abfss://c@a.dfs.core.windows.net/x/", "https://a.blob.core.windows.net/c/x"),
        ("abfs://c@a.dfs.core.windows.net/x", "https://a.blob.core.windows.net/c/x"),
        ("abfs://c/x", None),
        ("https://user:secret@a/x", None),
        ("https://a.blob.core.windows.net/c/x?sv=1&sig=abc", None),
    ],
)
def test_uris_of_storage_lead_to_the_blobs(text: str, address: str | None) -> None:
    assert is_remote_input(text)
    if address is None:
        with pytest.raises(WebError) as caught:
            blob_address(text)
        assert "secret" not in str(caught.value)
        assert "abc" not in str(caught.value)
    else:
        assert blob_address(text) == address


@pytest.mark.parametrize("text", ["s3://b/x", "azureml://datastores/x", "/x", "file:///x", "ftp://x/y"])
def test_what_is_not_fetched(text: str) -> None:
    assert not is_remote_input(text)


@pytest.mark.parametrize("is_registered", [False, True])
def test_a_job_fetches_its_input(
    rehearsal: Rehearsal, server: Server, monkeypatch: pytest.MonkeyPatch, is_registered: bool
) -> None:
    monkeypatch.setenv(ALLOW_PRIVATE, "1")
    rehearsal.deploy()
    address = f"{server.url}/store/data"
    if is_registered:
        rehearsal.workspace.assets.create("data", "web", uri=address)
    job = rehearsal.end(rehearsal.invoke(input="azureml:web:1" if is_registered else address))
    assert (job.status, job.input) == (JobStatus.COMPLETED, address)
    assert (job.output / "named-outputs/score/predictions.csv").read_text() == "1\n2\n"


def test_a_job_does_not_fetch_from_this_machine(rehearsal: Rehearsal, server: Server) -> None:
    rehearsal.deploy()
    with pytest.raises(InvalidError, match="--allow-private"):
        rehearsal.invoke(input=f"{server.url}/store/data")
    rehearsal.workspace.assets.create("data", "web", uri=f"http://2130706433:{server.server_port}/store/data")
    with pytest.raises(InvalidError, match="--allow-private"):
        rehearsal.invoke(input="azureml:web:1")
    assert server.asked == []


def test_a_name_that_leads_to_a_private_network_fails_the_job(rehearsal: Rehearsal) -> None:
    """This machine's own name passes the first look, and not the second."""
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke(input=f"http://{socket.gethostname()}:9/store/data"))
    assert job.status is JobStatus.FAILED
    assert "private network" in str(job.error)
