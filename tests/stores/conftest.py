"""Stores of objects in processes of their own: moto's server for S3, gcp-storage-emulator for Google's, Azurite."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import blob_services
import pytest

from bucket import BUCKET, Bucket
from support import wait_for

# Each listens on any port, says which, and ends with its standard input.
SERVERS = {
    "s3": """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
port = server.get_host_and_port()[1]
""",
    "gs": """
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
port = server._api._httpd.server_address[1]
""",
}
END = """
import sys
print("port", port, flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def serving(protocol: str) -> Iterator[str]:
    """Start a store; gives its address."""
    words = [sys.executable, "-c", SERVERS[protocol] + END]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin and server.stdout
        port = next(line.split()[1] for line in server.stdout if line.startswith("port "))
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url))
        yield url
        server.stdin.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of the store that speaks S3."""
    with serving("s3") as url:
        yield url


@pytest.fixture(scope="session")
def gs() -> Iterator[str]:
    """The address of the store that is like Google's."""
    with serving("gs") as url:
        yield url


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - of this test
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[blob_services.Azurite]:
    """Microsoft's emulator of Azure Blob Storage."""
    with blob_services.azurite(tmp_path_factory.mktemp("azurite")) as service:
        yield service


@pytest.fixture(params=["s3", "gs", pytest.param("abfs", marks=pytest.mark.azurite)])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, which every process that a test starts can reach by the usual variables."""
    protocol: str = request.param
    for name, value in {"s3": on_s3, "gs": on_gs, "abfs": on_azurite}[protocol](request).items():
        monkeypatch.setenv(name, value)
    import fsspec

    files = fsspec.filesystem(protocol, skip_instance_cache=True)
    files.mkdir(BUCKET)
    yield Bucket(files, f"{protocol}://{BUCKET}")
    files.rm(BUCKET, recursive=True)


def on_s3(request: pytest.FixtureRequest) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": request.getfixturevalue("s3"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def on_gs(request: pytest.FixtureRequest) -> dict[str, str]:
    return {
        "STORAGE_EMULATOR_HOST": request.getfixturevalue("gs"),
        "FSSPEC_GS_TOKEN": "anon",
        "GCSFS_DEFAULT_PROJECT": "test",
        # The emulator has no gRPC, which the driver would ask for the kind of each bucket.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


def on_azurite(request: pytest.FixtureRequest) -> dict[str, str]:
    service: blob_services.Azurite = request.getfixturevalue("azurite")
    return {"AZURE_STORAGE_CONNECTION_STRING": service.connection}
