"""One server for most tests, the real SDK pointed at it, and a project to deploy with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure_sdk import Sdk
from served import Server

from support import Project


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that serves many tests; each uses names of its own."""
    served = Server(tmp_path_factory.mktemp("served") / "place")
    yield served
    assert served.stop() == ""


@pytest.fixture(scope="module")
def environment(server: Server) -> Iterator[None]:
    """What `batchtwin env` prints, in this process, for one module."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.connection.variables().items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def sdk(server: Server, environment: None) -> Any:
    """The client of the SDK, as a notebook gets it."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    return MLClient.from_config(DefaultAzureCredential(), path=str(server.folder / "config.json"))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Whatever deployment a test has named: the SDK keeps it for every later invocation of the process."""
    yield
    constants = sys.modules.get("azure.ai.ml.constants._endpoint")
    if constants is not None:
        fields = constants.EndpointInvokeFields
        fields.DEFAULT_HEADER.pop(fields.MODEL_DEPLOYMENT, None)


@pytest.fixture
def azure(sdk: Any, server: Server, project: Project) -> Sdk:
    """A project with two input files, not deployed yet."""
    project.files(2)
    return Sdk(sdk, server, project)


@pytest.fixture(scope="module")
def deployed(sdk: Any, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Sdk:
    """A deployed project with three input files, for the tests of a module."""
    project = Project(tmp_path_factory.mktemp("deployed") / "project")
    project.files(3)
    made = Sdk(sdk, server, project)
    made.deploy()
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where to download to."""
    return tmp_path / "download"
