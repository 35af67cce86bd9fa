"""Stores of objects in processes of their own on this machine: moto's server, which speaks S3, and Azurite."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import blob_services
import pytest

from bucket import BUCKET, Bucket
from support import wait_for

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
print("port", server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The address of the store that speaks S3."""
    words = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin and server.stdout
        port = next(line.split()[1] for line in server.stdout if line.startswith("port "))
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url))
        yield url
        server.stdin.close()


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


@pytest.fixture(params=["s3", pytest.param("abfs", marks=pytest.mark.azurite)])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, which every process that a test starts can reach by the usual variables."""
    protocol: str = request.param
    for name, value in (on_s3 if protocol == "s3" else on_azurite)(request).items():
        monkeypatch.setenv(name, value)
    import fsspec

    files = fsspec.filesystem(protocol, skip_instance_cache=True)
    files.mkdir(BUCKET)
    yield Bucket(files, f"{protocol}://{BUCKET}")
    files.rm(BUCKET, recursive=True)


def on_s3(request: pytest.FixtureRequest) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": request.getfixturevalue("endpoint"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def on_azurite(request: pytest.FixtureRequest) -> dict[str, str]:
    service: blob_services.Azurite = request.getfixturevalue("azurite")
    return {"AZURE_STORAGE_CONNECTION_STRING": service.connection}
