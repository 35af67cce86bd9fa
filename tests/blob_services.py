"""Blob services as processes, and the real client of Azure Storage on them."""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from batchtwin.azure.blob.sas import Sas
from support import ROOT

ACCOUNT = "devstore.blob.batchtwin"
AZURITE = ROOT / "build/azurite/node_modules/.bin/azurite-blob"
PUT_BYTES = 32 << 20


class Served(Protocol):
    """A blob service: makes containers and gives tokens for them."""

    url: str

    def container(self) -> str:
        """Make an empty container and return its name."""

    def token(self, container: str) -> str:
        """Return a SAS token that allows everything."""


@dataclass
class Twin:
    """Our own service; `root` is its folder, `log` what it wrote."""

    url: str
    root: Path
    sas: Sas
    pid: int
    log: Path

    def container(self) -> str:
        """Make an empty container and return its name."""
        name = f"c{uuid.uuid4().hex}"
        (self.root / name).mkdir()
        return name

    def token(self, container: str) -> str:
        """Return a SAS token that allows everything."""
        return self.sas.token(container, 600)


@dataclass
class Azurite:
    """Microsoft's emulator of the service."""

    url: str
    key: str

    @property
    def connection(self) -> str:
        """The connection string, as the tools of Azure take it."""
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": ACCOUNT,
            "AccountKey": self.key,
            "BlobEndpoint": f"{self.url}/{ACCOUNT}",
        }
        return "".join(f"{name}={value};" for name, value in parts.items())

    def container(self) -> str:
        """Make an empty container and return its name."""
        from azure.storage.blob import BlobServiceClient

        name = f"c{uuid.uuid4().hex}"
        account = {"account_name": ACCOUNT, "account_key": self.key}
        with BlobServiceClient(f"{self.url}/{ACCOUNT}", credential=account) as service:
            service.create_container(name).close()
        return name

    def token(self, container: str) -> str:
        """Return a SAS token that allows everything."""
        from azure.storage.blob import generate_container_sas

        token: str = generate_container_sas(
            ACCOUNT,
            container,
            account_key=self.key,
            permission="racwdl",
            expiry=datetime.now(UTC) + timedelta(minutes=10),
        )
        return token


@contextmanager
def twin(folder: Path, put_bytes: int = PUT_BYTES) -> Iterator[Twin]:
    """Run our service in a folder of its own, until the end; it must have had nothing to complain of."""
    root, log = folder / "blobs", folder / "log"
    key = secrets.token_bytes(32)
    words = [
        sys.executable,
        *map(str, (Path(__file__).with_name("serve_blobs.py"), root, key.hex(), put_bytes)),
    ]
    with (
        log.open("wb") as writer,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writer) as process,
    ):
        assert process.stdout
        port = process.stdout.readline().decode().strip()
        assert port, log.read_text()
        yield Twin(f"http://127.0.0.1:{port}", root, Sas(key), process.pid, log)
        process.communicate()
    assert log.read_text() == ""
    assert process.returncode == 0


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """Run Azurite in a folder of its own, until the end."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    words = [str(AZURITE), "--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", "0"]
    words += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    env = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True) as process:
        assert process.stdout
        output: list[str] = []
        for line in process.stdout:
            output.append(line)
            if match := re.search(r"listens on (http://\S+)", line):
                break
        else:
            raise AssertionError("".join(output))
        yield Azurite(match[1], key)
        process.terminate()


@contextmanager
def connected(service: Served, container: str | None = None, **options: Any) -> Iterator[Any]:
    """The real client of a container, an empty one unless it is named; it does not try again what fails."""
    from azure.storage.blob import ContainerClient

    name = container or service.container()
    url = f"{service.url}/{ACCOUNT}/{name}?{service.token(name)}"
    with ContainerClient.from_container_url(url, retry_total=0, **options) as client:
        yield client
