"""What is not a request for this service gets a status and a code of it; what it holds stays as it is."""

from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import fromstring

import pytest
from blob_services import ACCOUNT, PUT_BYTES, Twin

from batchtwin.azure.blob.sas import Sas
from support import wait_for

PUT = {"x-ms-blob-type": "BlockBlob"}


class Raw:
    """Requests as they are written, to a container that holds the blob `a`."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.container = twin.container()
        self.folder = twin.root / self.container
        (self.folder / "a").write_bytes(b"first")

    def ask(
        self, method: str, name: str, query: str = "", headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, str]:
        """Send a request with a good token; return status and code."""
        query = "&".join(filter(None, (query, self.twin.token(self.container))))
        return self.send(method, f"/{ACCOUNT}/{self.container}/{name}?{query}", headers or {}, body)

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, str]:
        """Send a request; return status and code. The body of a refusal must be the service's XML."""
        connection = http.client.HTTPConnection(urlsplit(self.twin.url).netloc, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            code, said = answer.headers["x-ms-error-code"], answer.read()
        finally:
            connection.close()
        if answer.status >= 400 and method != "HEAD":
            assert fromstring(said).findtext("Code") == code  # noqa: S314 - our own server's
            assert b"Traceback" not in said
        return answer.status, code or ""


@pytest.fixture
def raw(twin: Twin) -> Raw:
    """A container that holds one blob."""
    return Raw(twin)


@pytest.mark.parametrize(
    "name",
    [
        "../other",
        "%2e%2e/other",
        "x/../../../etc/passwd",
        "x%2f..%2f..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "./a",
        "x//y",
        "x//y/",
        "a%00",
        "a%0a",
        "a%5c..%5cb",
        "x" * 256,
        "/".join(["x" * 100] * 11),
        "%ef%bf%bf",
        "%ff",
        "a/%c3%28",
        "%ed%a0%80",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_names_that_are_no_names(raw: Raw, method: str, name: str) -> None:
    before = sorted(raw.twin.root.rglob("*"))

    assert raw.ask(method, name, headers=PUT, body=b"" if method == "PUT" else None) == (400, "InvalidResourceName")
    assert sorted(raw.twin.root.rglob("*")) == before


@pytest.mark.parametrize("name", ["ab", "Upper", ".details", ".staging", "a--b", "-ab", "x" * 64, "a%2e%2e", "ab%ff"])
def test_containers_that_are_no_names(raw: Raw, name: str) -> None:
    assert raw.send("GET", f"/{ACCOUNT}/{name}/a?{raw.twin.token(name)}", {}) == (400, "InvalidResourceName")


def test_a_name_that_the_file_system_cannot_hold(raw: Raw) -> None:
    name = "/".join([quote("\U0001f600" * 63)] * 16)

    assert raw.ask("PUT", name, headers=PUT, body=b"") == (400, "InvalidResourceName")
    assert raw.ask("GET", name) == (400, "InvalidResourceName")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 401, "NoAuthenticationInformation"),
        ("sig=", 403, "AuthenticationFailed"),
        ("sv=1&sr=c&sp=rwdl&se=2999-01-01T00:00:00Z&sig=é", 403, "AuthenticationFailed"),
        ("sv=1&sr=c&sp=rwdl&se=never&sig=AAAA", 403, "AuthenticationFailed"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
def test_no_token_or_none_of_ours(raw: Raw, method: str, query: str, status: int, code: str) -> None:
    path = f"/{ACCOUNT}/{raw.container}/a?{quote(query, safe='=&')}"

    assert raw.send(method, path, PUT, b"" if method == "PUT" else None) == (status, code)
    assert (raw.folder / "a").read_bytes() == b"first"


def test_a_token_of_another_container(raw: Raw) -> None:
    path = f"/{ACCOUNT}/{raw.container}/a?{raw.twin.token(raw.twin.container())}"

    assert raw.send("GET", path, {}) == (403, "AuthenticationFailed")


def test_a_token_of_another_key(raw: Raw) -> None:
    path = f"/{ACCOUNT}/{raw.container}/a?{Sas(bytes(32)).token(raw.container, 60)}"

    assert raw.send("GET", path, {}) == (403, "AuthenticationFailed")


def test_a_token_that_has_expired(raw: Raw) -> None:
    path = f"/{ACCOUNT}/{raw.container}/a?{raw.twin.sas.token(raw.container, -1)}"

    assert raw.send("GET", path, {}) == (403, "AuthenticationFailed")


@pytest.mark.parametrize(
    ("method", "name", "query", "needed"),
    [
        ("GET", "a", "", "r"),
        ("HEAD", "a", "", "r"),
        ("PUT", "a", "", "w"),
        ("PUT", "a", "comp=block&blockid=MA%3D%3D", "w"),
        ("PUT", "a", "comp=blocklist", "w"),
        ("PUT", "a", "comp=metadata", "w"),
        ("DELETE", "a", "", "d"),
        ("GET", "", "restype=container&comp=list", "l"),
        ("PUT", "", "restype=container", "c"),
    ],
)
def test_a_token_that_allows_less(raw: Raw, method: str, name: str, query: str, needed: str) -> None:
    token = raw.twin.sas.token(raw.container, 60, "racwdl".replace(needed, ""))
    path = f"/{ACCOUNT}/{raw.container}/{name}?{query}&{token}"

    assert raw.send(method, path, PUT) == (403, "AuthorizationPermissionMismatch")


@pytest.mark.parametrize(
    ("method", "query", "headers", "status", "code"),
    [
        ("PUT", "", {}, 400, "InvalidHeaderValue"),
        ("PUT", "", {"x-ms-blob-type": "PageBlob"}, 400, "InvalidHeaderValue"),
        ("PUT", "", PUT | {"x-ms-copy-source": "http://example.com/x"}, 400, "UnsupportedHeader"),
        ("PUT", "", PUT | {"x-ms-lease-id": "x"}, 400, "UnsupportedHeader"),
        ("PUT", "", PUT | {"x-ms-meta-1a": "x"}, 400, "InvalidMetadata"),
        ("PUT", "", PUT | {"x-ms-meta-a": "x" * 8192}, 400, "MetadataTooLarge"),
        ("PUT", "", PUT | {"content-md5": "x"}, 400, "InvalidMd5"),
        ("PUT", "", PUT | {"if-unmodified-since": "yesterday"}, 400, "InvalidHeaderValue"),
        ("PUT", "comp=block", {}, 400, "InvalidBlockId"),
        ("PUT", "comp=block&blockid=a", {}, 400, "InvalidBlockId"),
        ("PUT", "comp=block&blockid=%2e%2e%2f", {}, 400, "InvalidBlockId"),
        ("PUT", "comp=block&blockid=" + "QUJD" * 22, {}, 400, "InvalidBlockId"),
        ("PUT", "comp=page", {}, 405, "UnsupportedHttpVerb"),
        ("PUT", "comp=tier", {}, 405, "UnsupportedHttpVerb"),
        ("POST", "", {}, 405, "UnsupportedHttpVerb"),
        ("GET", "snapshot=2026-01-01", {}, 400, "InvalidQueryParameterValue"),
        ("GET", "", {"x-ms-range": "bytes=3-1"}, 400, "InvalidHeaderValue"),
        ("GET", "", {"x-ms-range": "bytes=-3"}, 400, "InvalidHeaderValue"),
        ("GET", "", {"x-ms-range": "lines=1-2"}, 400, "InvalidHeaderValue"),
        ("GET", "", {"range": "bytes=5-"}, 416, "InvalidRange"),
        ("GET", "", {"x-ms-range-get-content-md5": "true"}, 400, "InvalidHeaderValue"),
        ("GET", "", {"if-match": '"other"'}, 412, "ConditionNotMet"),
        ("GET", "", {"if-modified-since": "Wed, 25 Nov 3000 22:32:55 GMT"}, 304, "ConditionNotMet"),
    ],
)
def test_requests_that_cannot_be_met(
    raw: Raw, method: str, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    assert raw.ask(method, "a", query, headers, b"second" if method in {"PUT", "POST"} else None) == (status, code)
    assert (raw.folder / "a").read_bytes() == b"first"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "InvalidXmlDocument"),
        (b"<BlockList>", "InvalidXmlDocument"),
        (b"<Blocks/>", "InvalidXmlDocument"),
        (b'<?xml version="1.0" encoding="klingon"?><BlockList/>', "InvalidXmlDocument"),
        (b"<BlockList><Newest>MA==</Newest></BlockList>", "InvalidXmlDocument"),
        (b"<BlockList><Committed>MA==</Committed></BlockList>", "InvalidBlockList"),
        (b"<BlockList><Latest>MA==</Latest></BlockList>", "InvalidBlockList"),
        (b"<BlockList><Latest/></BlockList>", "InvalidBlockId"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><BlockList>&e;</BlockList>', "InvalidXmlDocument"),
        (b'<!DOCTYPE x [<!ENTITY e "MA==">]><BlockList><Latest>&e;</Latest></BlockList>', "InvalidXmlDocument"),
    ],
)
def test_block_lists_that_are_none(raw: Raw, body: bytes, code: str) -> None:
    assert raw.ask("PUT", "a", "comp=blocklist", body=body) == (400, code)
    assert (raw.folder / "a").read_bytes() == b"first"


def test_a_block_named_twice(raw: Raw) -> None:
    raw.ask("PUT", "a", "comp=block&blockid=MA%3D%3D", body=b"block")
    body = b"<BlockList><Latest>MA==</Latest><Latest>MA==</Latest></BlockList>"

    assert raw.ask("PUT", "a", "comp=blocklist", body=body) == (400, "InvalidBlockList")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("marker=%ff", "InvalidQueryParameterValue"),
        ("marker=a", "InvalidQueryParameterValue"),
        ("maxresults=0", "OutOfRangeQueryParameterValue"),
        ("maxresults=many", "OutOfRangeQueryParameterValue"),
        ("maxresults=-1", "OutOfRangeQueryParameterValue"),
        ("include=versions", "InvalidQueryParameterValue"),
    ],
)
def test_lists_that_cannot_be_made(raw: Raw, query: str, code: str) -> None:
    assert raw.ask("GET", "", f"restype=container&comp=list&{query}") == (400, code)


def test_a_single_put_that_is_too_large(raw: Raw) -> None:
    for query in ("", "comp=block&blockid=MA%3D%3D"):
        assert raw.ask("PUT", "b", query, PUT, bytes(PUT_BYTES + 1)) == (413, "RequestBodyTooLarge")
    assert raw.ask("PUT", "b", "", PUT, bytes(PUT_BYTES)) == (201, "")
    assert not list((raw.twin.root / ".staging").iterdir())


def test_a_body_of_unknown_length(raw: Raw) -> None:
    query = raw.twin.token(raw.container)
    path = f"/{ACCOUNT}/{raw.container}/b?{query}"

    assert raw.send("PUT", path, PUT | {"transfer-encoding": "chunked"}, b"0\r\n\r\n") == (
        411,
        "MissingContentLengthHeader",
    )


@pytest.mark.parametrize("query", ["", "comp=block&blockid=MA%3D%3D", "comp=blocklist"])
def test_a_body_that_is_longer_than_it_says(raw: Raw, query: str) -> None:
    """HTTP has it that chunks go before a length."""
    headers = PUT | {"content-length": "5", "transfer-encoding": "chunked"}

    assert raw.ask("PUT", "a", query, headers, b"6\r\nsecond\r\n0\r\n\r\n") == (400, "InvalidHeaderValue")
    assert (raw.folder / "a").read_bytes() == b"first"


def test_a_body_that_ends_early_leaves_nothing(raw: Raw) -> None:
    address = urlsplit(raw.twin.url)
    with socket.create_connection((str(address.hostname), address.port or 0)) as peer:
        head = f"PUT /{ACCOUNT}/{raw.container}/a?{raw.twin.token(raw.container)} HTTP/1.1\r\nHost: x\r\n"
        peer.sendall(f"{head}x-ms-blob-type: BlockBlob\r\nContent-Length: 9000000\r\n\r\n".encode() + bytes(3 << 20))
        wait_for(lambda: any((raw.twin.root / ".staging").iterdir()))

    wait_for(lambda: not any((raw.twin.root / ".staging").iterdir()))
    assert (raw.folder / "a").read_bytes() == b"first"


@pytest.mark.parametrize("name", ["a/b", "deep"])
def test_a_blob_and_a_folder_of_one_name(raw: Raw, name: str) -> None:
    (raw.folder / "deep/er").mkdir(parents=True)

    assert raw.ask("PUT", name, headers=PUT, body=b"second") == (409, "PathConflict")
    assert raw.ask("GET", name) == (404, "BlobNotFound")


def test_links_that_lead_out_are_not_followed(raw: Raw, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (raw.folder / "link").symlink_to(tmp_path / "secret")
    (raw.folder / "folder").symlink_to(tmp_path)
    (raw.folder / "loop").symlink_to(raw.folder / "loop")
    os.mkfifo(raw.folder / "pipe")

    for name in ("link", "folder/secret", "loop", "pipe"):
        assert raw.ask("GET", name) == (404, "BlobNotFound")
        assert raw.ask("DELETE", name) == (404, "BlobNotFound")
    assert raw.ask("PUT", "folder/new", headers=PUT, body=b"1") == (409, "PathConflict")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "secret"]


def test_a_put_replaces_a_link_and_not_what_it_leads_to(raw: Raw, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (raw.folder / "link").symlink_to(tmp_path / "secret")

    assert raw.ask("PUT", "link", headers=PUT, body=b"second") == (201, "")
    assert (tmp_path / "secret").read_text() == "secret"
    assert (raw.folder / "link").read_bytes() == b"second"


def test_names_on_the_disk_that_no_blob_can_have_are_not_listed(raw: Raw, ours: Any) -> None:
    (raw.folder / "a\\b").write_text("")
    Path(os.fsdecode(os.fsencode(raw.folder) + b"/\xff")).write_text("")

    assert raw.ask("GET", "", "restype=container&comp=list") == (200, "")
