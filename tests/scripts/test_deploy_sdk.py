"""scripts/deploy.py, run as a user does, against a server that it does not know of."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from served import Server

from commands import CommandServer
from support import COMMAND, DEADLINE, ROOT, batchtwin

PROGRAM = ROOT / "scripts/deploy.py"
PAGE = (ROOT / "docs/sdk.md").read_text()
# As docs/sdk.md has it.
ENDPOINT = "heart-classifier-batch"
# As much of jq as docs/sdk.md uses.
JQ = """#!{python}
import json, sys
found = json.load(sys.stdin)
for name in sys.argv[2].strip(".").split("."):
    found = found[name]
print(found)
"""
# Ours; what a slow machine needs more is its own.
SECONDS = 20


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of an empty workspace, whose jobs of one model share its fork server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHTWIN_WARM", "1")
        server = Server(tmp_path_factory.mktemp("empty") / "place")
    yield server
    assert server.stop() == ""


@pytest.fixture(scope="module")
def programs() -> Iterator[CommandServer]:
    """Programs that need not import the SDK; the first test starts one that does."""
    server = CommandServer(("azure.ai.ml", "azure.identity", "pandas"))
    yield server
    server.close()


def words_of(words: tuple[str, ...]) -> list[str]:
    return ["--endpoint-name", ENDPOINT, *words]


def deploy(server: Server, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder, with what `batchtwin env` prints."""
    env = {**os.environ, **server.connection.variables()}
    command = [sys.executable, str(PROGRAM), *words_of(words)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)


def deploy_forked(programs: CommandServer, server: Server, folder: Path, *words: str) -> tuple[int, str, str]:
    """The same in a forked process; returns its exit code, output and error."""
    env = {**os.environ, **server.connection.variables()}
    return programs.run(words_of(words), folder, env, DEADLINE, PROGRAM)


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
    record_property("note", f"{time.monotonic() - started:.1f} s from nothing to a table; {SECONDS} s are ours")

    assert done.returncode == 0, done.stderr
    assert "[303 rows x 3 columns]" in done.stdout
    assert (tmp_path / "named-outputs/score/predictions.csv").read_text() == scored.predictions


def test_the_examples_for_curl(empty: Server, tmp_path: Path) -> None:
    [example] = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "token=" in block]
    jq = tmp_path / "jq"
    jq.write_text(JQ.format(python=sys.executable))
    jq.chmod(0o755)
    script = example.replace("https://localhost:8443", empty.connection.origin) + 'echo "$job"\n'
    env = {**empty.environment, "PATH": f"{tmp_path}:{COMMAND.parent}:{os.environ['PATH']}"}
    words = ["bash", "-euo", "pipefail", "-c", script]

    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)

    assert done.returncode == 0, done.stderr
    status, job = done.stdout.split()
    assert status in {"NotStarted", "Starting", "Preparing", "Queued", "Running"}
    assert empty.end(job) == "Completed"
    written = empty.folder / "datastores/workspaceblobstore/results/predictions.csv"
    assert len(written.read_text().splitlines()) == 303


def test_the_example_for_ci(heart_model: Path, tmp_path: Path) -> None:
    [workflow] = re.findall(r"```yaml\n(jobs:.*?)```", PAGE, re.DOTALL)
    [script] = [
        step["run"]
        for step in yaml.safe_load(workflow)["jobs"]["batch-deployment"]["steps"]
        if "name" in step and "run" in step
    ]
    (tmp_path / ".venv").symlink_to(COMMAND.parents[1])
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    env = {**os.environ, "BATCHTWIN_WORKSPACE": str(tmp_path / "place")}
    with (tmp_path / "said").open("wb") as log:
        # The server that it starts is its own; it ends with the machine there, with the group here.
        started = subprocess.Popen(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = started.wait(DEADLINE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGTERM)
    assert code == 0, (tmp_path / "said").read_text()
    assert len((tmp_path / "named-outputs/score/predictions.csv").read_text().splitlines()) == 303


def test_again_with_all_that_there_is(
    programs: CommandServer, empty: Server, heart_model: Path, tmp_path: Path
) -> None:
    options = ("--model", str(heart_model), "--custom", "--delete")
    code, output, errors = deploy_forked(programs, empty, tmp_path, *options)

    assert code == 0, errors
    assert "[303 rows x 3 columns]" in output
    assert empty.call("GET", f"/batchEndpoints/{ENDPOINT}").status == 404
    assert len(empty.call("GET", "/jobs").data["value"]) >= 1


def test_a_server_that_is_down_is_no_hang(programs: CommandServer, heart_model: Path, tmp_path: Path) -> None:
    gone = Server(tmp_path / "gone")
    gone.stop()

    code, _, errors = deploy_forked(programs, gone, tmp_path, "--model", str(heart_model))

    assert code != 0
    assert "unable to load cloud metadata" in errors
