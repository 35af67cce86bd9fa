"""HTTP to public addresses only: for URLs from others, such as the input that a client of `serve` names.

The address is checked where the connection is made, so neither a name of a private network, nor a redirect, nor another
spelling of 127.0.0.1 gets through. Proxies are not used: they would resolve the name themselves.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from batchtwin.errors import InputError
from batchtwin.inputs.location import redact
from batchtwin.inputs.public_address import IPAddress, is_public

# `1` allows addresses of this machine and of private networks.
ALLOW_PRIVATE = "BATCHTWIN_ALLOW_PRIVATE"
REDIRECTS = (301, 302, 303, 307, 308)
BLOCK = 1 << 20
# Characters of a path or query that stay unescaped.
_IN_PATH = "%/:=&?~+!$,;'@()*[]"


class WebError(InputError):
    """A URL that is refused, cannot be reached, or gives too much."""


class StatusError(WebError):
    """An answer with a status other than 200."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        self.status = status
        super().__init__(f"{redact(url)}: answers {status} {reason}; is it public?")


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else default


@dataclass
class Limits:
    """The limits of one input: bytes, seconds, redirects of a request, files. `seconds` count from now."""

    bytes: int = field(default_factory=lambda: _number("BATCHTWIN_DOWNLOAD_BYTES", 10 << 30))
    seconds: int = field(default_factory=lambda: _number("BATCHTWIN_DOWNLOAD_SECONDS", 3600))
    redirects: int = 5
    files: int = 100_000
    # Seconds for one read from the network.
    patience: float = 30.0
    began: float = field(default_factory=time.monotonic)

    def spend(self, count: int, url: str) -> None:
        """Count bytes that arrived.

        Raises:
            WebError: they are too many, or too much time has passed.
        """
        self.bytes -= count
        if self.bytes < 0:
            raise WebError(f"{redact(url)}: is larger than the limit; raise BATCHTWIN_DOWNLOAD_BYTES")
        self.check_time(url)

    def check_time(self, url: str) -> None:
        """Check the time limit.

        Raises:
            WebError: too much time has passed.
        """
        if self.left <= 0:
            raise WebError(f"{redact(url)}: took longer than the limit; raise BATCHTWIN_DOWNLOAD_SECONDS")

    @property
    def left(self) -> float:
        """Seconds that remain."""
        return self.seconds - (time.monotonic() - self.began)


def allows_private() -> bool:
    """Whether the user allows addresses of this machine and of private networks."""
    return os.environ.get(ALLOW_PRIVATE) == "1"


def refuse_private(host: str) -> None:
    """Refuse a host whose name is a private address, in any spelling, or localhost.

    Raises:
        WebError: it is.
    """
    try:
        address: IPAddress = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            if host.lower().rstrip(".").rpartition(".")[2] == "localhost":
                raise _private(host, host) from None
            return
    if not is_public(address):
        raise _private(host, str(address))


def parse_web_url(url: str) -> SplitResult:
    """Return the parts of an `http(s)` URL.

    Raises:
        WebError: it is none, or holds a user or a key.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise WebError(f"{redact(url)}: is no address: {error}") from None
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise WebError(f"{redact(url)}: is no http or https address")
    if parts.username is not None or parts.password is not None:
        raise WebError(f"{redact(url)}: holds a user; only public addresses are fetched")
    if any(character.isspace() or ord(character) < 32 for character in url):
        raise WebError(f"{redact(url)!r}: holds a space or control character; write it as %20")
    return parts


class PublicWeb:
    """Gets URLs. `allow_private` permits addresses of this machine and of private networks."""

    def __init__(self, limits: Limits, allow_private: bool = False) -> None:
        self.limits = limits
        self._allow_private = allow_private

    @contextmanager
    def get(self, url: str) -> Iterator[HTTPResponse]:
        """Get a URL; redirects are followed, each checked like the first.

        Raises:
            WebError: it is refused, or does not answer with 200.
        """
        current = url
        for _ in range(self.limits.redirects + 1):
            with self._request(current) as response:
                if response.status == 200:
                    yield response
                    return
                target = response.headers.get("Location")
                if response.status not in REDIRECTS or not target:
                    raise StatusError(current, response.status, response.reason)
            following = urljoin(current, target)
            if urlsplit(current).scheme == "https" and urlsplit(following).scheme != "https":
                raise WebError(f"{redact(current)}: leads to an address without TLS: {redact(following)}")
            current = following
        raise WebError(f"{redact(url)}: more than {self.limits.redirects} redirects")

    def blocks(self, response: HTTPResponse, url: str) -> Iterator[bytes]:
        """Yield the content, block by block.

        Raises:
            WebError: it is too much, ends too early, or comes too slowly.
        """
        length, size = response.length, 0
        try:
            while block := response.read1(BLOCK):
                size += len(block)
                self.limits.spend(len(block), url)
                yield block
        except (OSError, HTTPException) as error:
            raise WebError(f"{redact(url)}: {error or type(error).__name__}") from None
        if length is not None and size < length:
            raise WebError(f"{redact(url)}: ended after {size} of {length} bytes")

    @contextmanager
    def _request(self, url: str) -> Iterator[HTTPResponse]:
        parts = parse_web_url(url)
        self.limits.check_time(url)
        try:
            connection = self._connection(parts)
        except HTTPException as error:
            raise WebError(f"{redact(url)}: is no address: {error}") from None
        # A server may send its headers byte by byte.
        timer = threading.Timer(max(self.limits.left, 0.1), _abort, [connection])
        timer.daemon = True
        timer.start()
        try:
            path = quote(parts.path or "/", safe=_IN_PATH)
            path += f"?{quote(parts.query, safe=_IN_PATH)}" if parts.query else ""
            connection.request("GET", path, headers={"Accept-Encoding": "identity", "x-ms-version": "2021-08-06"})
            response = connection.getresponse()
            self.limits.check_time(url)  # truncated headers look like whole ones
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise WebError(f"{redact(url)}: {getattr(error, 'strerror', None) or error}") from None
        except BaseException:
            connection.close()
            raise
        finally:
            timer.cancel()
        try:
            yield response
        finally:
            response.close()
            connection.close()

    def _connection(self, parts: SplitResult) -> HTTPConnection:
        host, seconds = str(parts.hostname), min(self.limits.patience, max(self.limits.left, 0.1))
        # With its port: http.client takes the end of an IPv6 address for one.
        if parts.scheme.lower() == "https":
            secure = _SecureConnection(host, parts.port or 443, timeout=seconds, context=ssl.create_default_context())
            secure.allow_private = self._allow_private
            return secure
        connection = _Connection(host, parts.port or 80, timeout=seconds)
        connection.allow_private = self._allow_private
        return connection


def _abort(connection: HTTPConnection) -> None:
    with suppress(OSError, AttributeError):  # it is closed
        connection.sock.shutdown(socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    """A connection to a checked address."""

    allow_private = False

    def connect(self) -> None:
        """Connect to the first address that answers, if all addresses of the name are public."""
        self.sock = connected(self.host, self.port, float(self.timeout or 30), self.allow_private)


class _SecureConnection(HTTPSConnection):
    """The same with TLS, for the name in the URL."""

    allow_private = False

    def connect(self) -> None:
        """Connect, then check the server's certificate."""
        plain = connected(self.host, self.port, float(self.timeout or 30), self.allow_private)
        context: ssl.SSLContext = self._context  # type: ignore[attr-defined]
        self.sock = context.wrap_socket(plain, server_hostname=self.host)


def connected(host: str, port: int, seconds: float, allow_private: bool) -> socket.socket:
    """Return a socket connected to a host.

    Raises:
        WebError: it is this machine, or in a private network.
        OSError: there is no such host, or it does not answer.
    """
    addresses = [(kind, address) for kind, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for _, address in addresses:
        if not allow_private and not is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
            raise _private(host, str(address[0]))
    problem = OSError("has no address")
    for kind, address in addresses:
        sock = socket.socket(kind, socket.SOCK_STREAM)
        try:
            sock.settimeout(seconds)
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
            continue
        if not allow_private and sock.getsockname()[0] == sock.getpeername()[0]:
            sock.close()
            raise _private(host, str(address[0]))
        return sock
    raise problem


def _private(host: str, address: str) -> WebError:
    name = host if host == address else f"{host} ({address})"
    return WebError(f"{name}: is this machine or in a private network; --allow-private allows that")
