"""What clients without a token can use up: connections, time and the log."""

from __future__ import annotations

import contextlib
import http.client
import logging
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from served import HOME, Server

from batchtwin.azure.connection import METADATA_PATH
from batchtwin.azure.rest.log import RepeatFilter
from batchtwin.azure.rest.middleware import LARGEST_BODY
from support import DEADLINE, wait_for

DESCRIPTORS = 256


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may have few descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, limits[1]))
    try:
        served = Server(tmp_path_factory.mktemp("small") / "place")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    yield served
    assert len(served.stop()) < 10_000


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"\x16\x03\x01"])
def test_half_open_requests_do_not_take_it_down(small: Server, sent: bytes) -> None:
    with ExitStack() as stack:
        for port in (small.connection.https_port, small.connection.http_port) * (DESCRIPTORS + 50):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE))
            with contextlib.suppress(OSError):
                client.send(sent)
        wait_for(lambda: is_answered(small))


def is_answered(server: Server) -> bool:
    """Whether the server answers a request with a token."""
    try:
        return server.call("GET", "").status == 200
    except OSError:
        return False


def test_half_of_a_request_after_a_whole_one(small: Server) -> None:
    with socket.create_connection(("127.0.0.1", small.connection.http_port), DEADLINE) as client:
        client.sendall(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 404")
        client.sendall(b"GET /none HTTP/1.1\r\n")
        assert end_of(client)


def test_a_body_that_is_too_long_and_never_comes(small: Server) -> None:
    with socket.create_connection(("127.0.0.1", small.connection.http_port), DEADLINE) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (LARGEST_BODY + 1))
        assert client.recv(65536).startswith(b"HTTP/1.1 413")


def end_of(client: socket.socket) -> bool:
    """Wait until the server closes the connection."""
    with contextlib.suppress(ConnectionResetError):
        while client.recv(65536):
            pass
    return True


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", "localhost.evil.example", "10.0.0.1", "[::2]:80"])
def test_a_host_of_another_is_400(server: Server, host: str) -> None:
    context = ssl.create_default_context(cafile=str(server.connection.bundle))
    secure = http.client.HTTPSConnection("localhost", server.connection.https_port, timeout=DEADLINE, context=context)
    plain = http.client.HTTPConnection("localhost", server.connection.http_port, timeout=DEADLINE)
    for client, path in ((secure, f"/discovery{HOME}"), (plain, METADATA_PATH)):
        client.request("GET", path, headers={"Host": host})
        answer = client.getresponse()
        assert (answer.status, b"Host: must be one of" in answer.read()) == (400, True)
        client.close()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8443"])
def test_a_host_of_its_own(server: Server, host: str) -> None:
    plain = http.client.HTTPConnection("localhost", server.connection.http_port, timeout=DEADLINE)
    plain.request("GET", METADATA_PATH, headers={"Host": host})
    assert plain.getresponse().status == 200
    plain.close()


def test_a_log_does_not_repeat_itself(tmp_path: Path) -> None:
    file = tmp_path / "log"
    handler = logging.FileHandler(file)
    log = logging.Logger("test")
    log.addHandler(handler)
    handler.addFilter(RepeatFilter(seconds=3600))
    for _ in range(1000):
        log.warning("out of %s", "descriptors")
    log.warning("out of disk")
    handler.close()
    assert file.read_text() == "out of descriptors\nout of disk\n"


def test_a_log_says_what_it_dropped(tmp_path: Path) -> None:
    repeats = RepeatFilter(seconds=0.2)
    record = logging.makeLogRecord({"name": "test", "msg": "out of %s", "args": ("disk",)})
    assert repeats.filter(record)
    assert not repeats.filter(logging.makeLogRecord(record.__dict__))
    last = logging.makeLogRecord(record.__dict__)
    wait_for(lambda: repeats.filter(last))
    assert last.getMessage().startswith("out of disk (")
