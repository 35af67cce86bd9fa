"""Fixtures for all tests."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import commands
from batchtwin import redaction
from batchtwin.subprocesses import collect_rarely
from support import RAY, RAY_STARTED_WITH, ROOT, Project, unprivileged

# A busy machine is no failure; a failing example can be run again from what is printed.
settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")
# What takes longest, whole files or single tests: begun last, it would be what everybody waits for at the end.
LONGEST = (
    "scripts/test_train.py",
    "scripts/test_deploy_sdk.py",
    "workspace/test_mlflow_run.py",
    "scripts/test_deploy.py::test_the_whole_way_on_this_machine",
    "faults/test_kill.py",
    "test_readme.py",
    "test_recording.py",
    "azure/server/test_clients.py",
    "azure/server/test_load.py",
    "stores/test_stores.py::test_killed_while_it_publishes",
    "notebooks/test_notebook.py",
    "engine/tracking/test_tracking.py",
    "behaviour/test_6_driver.py::test_model_that_cannot_be_loaded",
    "report/test_report_rows.py",
    "workspace/test_concurrency.py",
)
# Deployments of tests speak of no environment of their own; those of environments say where to run.
os.environ.setdefault("BATCHTWIN_ENV", "here")
# What stays warm stays for this session only. With BATCHTWIN_WARM=1 every job of the tests may be warm.
SERVERS = tempfile.mkdtemp(prefix="batchtwin-warm-")
os.environ["BATCHTWIN_WARM_FOLDER"] = SERVERS


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--pool ray`: every project is scored on a Ray cluster of two machines, which the session starts."""
    parser.addoption("--pool", choices=["local", "ray"], default="local")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests at the beginning of the share that each process of `--dist worksteal` begins with."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    folder = Path(__file__).parent.name
    blocks = [[item for item in items if item.nodeid.startswith(f"{folder}/{name}")] for name in LONGEST]
    shares = [[item for block in blocks[place::processes] for item in block] for place in range(processes)]
    known = {id(item) for share in shares for item in share}
    rest = [item for item in items if id(item) not in known]
    ordered: list[pytest.Item] = []
    for place, share in enumerate(shares):
        size = (len(items) - len(ordered)) // (processes - place)  # as xdist divides them
        more = max(0, size - len(share))
        ordered += [*share, *rest[:more]]
        del rest[:more]
    items[:] = [*ordered, *rest]


def pytest_collection_finish() -> None:
    """Thousands of tests are no garbage: looking through them, again and again, takes a tenth of the time."""
    collect_rarely()
    gc.freeze()


def pytest_runtest_setup() -> None:
    """What variables of one test made a secret is none in the next: its folders may be called so."""
    redaction._seen.clear()
    redaction._learned.clear()


@pytest.fixture(scope="session", autouse=True)
def cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """The cluster that `--pool ray` asks for; each job joins it."""
    if request.config.getoption("--pool") == "local":
        yield
        return
    from ray_cluster import running

    with running(cpus=8, machines=2) as two:
        os.environ.update({RAY_STARTED_WITH: json.dumps(dict(os.environ)), RAY: two.address})
        yield


@pytest.fixture(scope="session", autouse=True)
def warm_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fork servers that stay between jobs are the session's own, and end with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHTWIN_WARM_FOLDER", str(tmp_path_factory.mktemp("servers") / "warm"))
        patch.setenv("BATCHTWIN_WARM_SERVERS", "4")
        patch.setenv("BATCHTWIN_WARM_SECONDS", "60")
        yield
        from batchtwin.engine.backends.warm.servers import stop_servers

        stop_servers()


@pytest.fixture(scope="session", autouse=True)
def forked_commands() -> Iterator[None]:
    """Commands are forked from one process, which ends with the session."""
    yield
    commands.close()


def pytest_unconfigure() -> None:
    """Servers that stay end with the session."""
    from batchtwin.engine.backends.warm.servers import stop_servers

    os.environ["BATCHTWIN_WARM_FOLDER"] = SERVERS
    stop_servers()
    shutil.rmtree(SERVERS, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to say, such as seeds and counts, also where they ran in other processes."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == "note":
                    terminalreporter.write_line(f"{report.nodeid}: {text}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project in a folder of its own."""
    return Project(tmp_path / "project")


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder in which file permissions bind this process, also when the tests run as root."""
    with unprivileged() as folder:
        yield folder


@pytest.fixture(scope="session")
def heart_model() -> Path:
    """The model of this project."""
    path = ROOT / "model"
    assert (path / "MLmodel").is_file(), "run `make train` first"
    return path
