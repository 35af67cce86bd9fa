"""A folder of small wheels, and a cache of environments of its own for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchtwin.environments.requested import RequestedEnvironment
from package_server import wheel

Request = Callable[..., RequestedEnvironment]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of environments; uv and pip have no settings of this machine."""
    folder = tmp_path / "environments"
    monkeypatch.setenv("BATCHTWIN_ENVIRONMENTS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Wheels of what every environment gets, and of `tiny` in two versions, with a console script."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "pip", "25.0")
    for version in ("80.0", "82.0"):
        wheel(folder, "setuptools", version)
    for version in ("1.0", "2.0"):
        wheel(folder, "tiny", version, script="tiny")
    return folder


@pytest.fixture
def request_for(cache: Path, wheels: Path, tmp_path: Path) -> Request:
    """Make a request that only the wheels can meet; its file is conda.yaml."""

    def make(*pip: str, options: tuple[str, ...] = (), **fields: object) -> RequestedEnvironment:
        links = ("--no-index", "--find-links ./wheels")
        return RequestedEnvironment(
            "conda.yaml",
            pip=pip,
            options=(*links, *options),
            folder=tmp_path,
            **fields,  # type: ignore[arg-type]
        )

    return make
