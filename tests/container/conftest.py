"""The image that `make image` builds, made once for all tests. Without an engine they fail: nothing would be proved."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchtwin.engine.backends.container import ContainerBackend, make_writable
from batchtwin.engine.context import job_context
from batchtwin.engine.prepare import Prepared, Request, prepare
from batchtwin.environments.options import EnvironmentOptions
from support import ROOT, Project

BUILD_DEADLINE = 1500
Docker = Callable[..., str]
Inside = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def engine() -> str:
    """The command of the engine's client."""
    client = os.environ.get("DOCKER", "docker")
    try:
        done = subprocess.run([client, "info"], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.fail(f"no container engine: {client}: {error.strerror}", pytrace=False)
    if done.returncode:
        pytest.fail(f"no container engine answers ({client} info):\n{done.stdout}{done.stderr}", pytrace=False)
    return client


@pytest.fixture(scope="session")
def docker(engine: str) -> Docker:
    """Call the engine; return what it prints."""

    def call(*words: str | Path) -> str:
        done = subprocess.run([engine, *words], capture_output=True, text=True, timeout=BUILD_DEADLINE, check=False)
        assert done.returncode == 0, f"{engine} {' '.join(map(str, words))}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    return call


@pytest.fixture(scope="session")
def image(engine: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tag of the image, built by `make image` if anything in it has changed; by one test process at a time."""
    # The parent folder is that of all processes of this session.
    with (tmp_path_factory.getbasetemp().parent / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return made_image()


def made_image() -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", "image"],
        cwd=ROOT,
        env={**os.environ, "BUILDKIT_PROGRESS": "plain"},
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"make image:\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return os.environ.get("IMAGE", "heart-classifier-batch:latest")


@pytest.fixture
def prepared(project: Project) -> Prepared:
    """A job of one file with a script that returns what it is given; its output folder may be written by anybody."""
    project.script = "def run(mini_batch): return mini_batch"
    project.files(1)
    output = project.folder / "job"
    output.mkdir()
    output.chmod(0o777)
    return prepare(Request(project.write(), project.inputs, output=output))


@pytest.fixture
def inside(engine: str, image: str, prepared: Prepared) -> Inside:
    """Run another program in the container of the job `prepared`, as `uid`, all else as for scoring."""

    def run(*words: str, uid: int | None = None) -> subprocess.CompletedProcess[str]:
        with closing(ContainerBackend(EnvironmentOptions(f"image:{image}", engine=engine))) as backend:
            backend.connect(prepared)
            prepared.output.make()
            context = job_context(prepared, 1, "key")
            make_writable(context)
            program, *arguments = words
            command = backend.command(context, program)
            if uid is not None:
                command[command.index("--user") + 1] = f"{uid}:{uid}"
            command = [*command[: command.index(image) + 1], *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
