"""scripts/deploy.py, run as a user does, against a server that it does not know of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Server

from support import DEADLINE, ROOT, batchtwin

PROGRAM = ROOT / "scripts/deploy.py"
# Ours; what a slow machine needs more is its own.
SECONDS = 20


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of an empty workspace."""
    server = Server(tmp_path_factory.mktemp("empty") / "place")
    yield server
    assert server.stop() == ""


def deploy(server: Server, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder, with what `batchtwin env` prints."""
    env = {**os.environ, **server.connection.variables()}
    command = [sys.executable, str(PROGRAM), "--endpoint-name", "heart-sdk", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)


def test_it_knows_nothing_of_the_twin() -> None:
    assert not re.search("batchtwin|twin|localhost", PROGRAM.read_text(), re.IGNORECASE)


def test_from_nothing_to_a_table_of_predictions(
    empty: Server, heart_model: Path, tmp_path: Path, record_property: Any
) -> None:
    deployment = ROOT / "deployment-simple/deployment.yml"
    scored = batchtwin(
        "score", deployment, "--input", ROOT / "data", "--model", heart_model, "--output", tmp_path / "scored"
    )

    started = time.monotonic()
    done = deploy(empty, tmp_path, "--model", str(heart_model))
    record_property("said", f"{time.monotonic() - started:.1f} s from nothing to a table; {SECONDS} s are ours")

    assert done.returncode == 0, done.stderr
    assert "[303 rows x 3 columns]" in done.stdout
    assert (tmp_path / "named-outputs/score/predictions.csv").read_text() == scored.predictions


def test_again_with_all_that_there_is(empty: Server, heart_model: Path, tmp_path: Path) -> None:
    done = deploy(empty, tmp_path, "--model", str(heart_model), "--custom", "--delete")

    assert done.returncode == 0, done.stderr
    assert "[303 rows x 3 columns]" in done.stdout
    assert empty.call("GET", "/batchEndpoints/heart-sdk").status == 404
    assert len(empty.call("GET", "/jobs").data["value"]) >= 1


def test_a_server_that_is_down_is_no_hang(empty: Server, heart_model: Path, tmp_path: Path) -> None:
    gone = Server(tmp_path / "gone")
    gone.stop()

    done = deploy(gone, tmp_path, "--model", str(heart_model))

    assert done.returncode != 0
    assert "unable to load cloud metadata" in done.stderr
