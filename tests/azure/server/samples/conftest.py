"""The server that runs the samples, and the service that one of them asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from model_samples import BUILD, Service
from served import Server

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: `make test-samples` runs them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.samples)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose jobs run in environments of their own, which stay below build/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHTWIN_ENV", "venv")
        patch.setenv("BATCHTWIN_ENVIRONMENTS", str(BUILD / "environments"))
        served = Server(tmp_path_factory.mktemp("samples") / "workspace")
        yield served
        assert served.stop() == ""


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The service of embeddings."""
    with Service() as service:
        thread = Thread(target=service.serve_forever)
        thread.start()
        yield service
        service.shutdown()
        thread.join()
