"""Our blob service and Microsoft's emulator, and the real client on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import blob_services
import pytest
from blob_services import Served, Twin, connected


@pytest.fixture(scope="package")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Our service."""
    with blob_services.twin(tmp_path_factory.mktemp("twin")) as service:
        yield service


@pytest.fixture(scope="package")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Microsoft's emulator."""
    with blob_services.azurite(tmp_path_factory.mktemp("azurite")) as service:
        yield service


@pytest.fixture(params=["twin", pytest.param("azurite", marks=pytest.mark.azurite)])
def service(request: pytest.FixtureRequest) -> Served:
    """Either: what the client does must come out alike."""
    service: Served = request.getfixturevalue(request.param)
    return service


@pytest.fixture
def client(service: Served) -> Iterator[Any]:
    """The client of an empty container of either service."""
    with connected(service) as client:
        yield client


@pytest.fixture
def ours(twin: Twin) -> Iterator[Any]:
    """The client of an empty container of our service alone."""
    with connected(twin) as client:
        yield client
