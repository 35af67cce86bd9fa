"""Jobs on clusters that lose a machine or their head, or whose machine has another batchtwin."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import batchtwin as package
from ray_cluster import SCRIPT, expected, on, running, spread
from support import ALL_FOUR_FIRST, Project, batchtwin

pytestmark = pytest.mark.ray


@pytest.fixture
def other(project: Project) -> Iterator[tuple[Any, Path]]:
    """A machine with a batchtwin of its own, and where that is."""
    own = project.folder / "own/batchtwin"
    shutil.copytree(Path(package.__file__).parent, own, ignore=shutil.ignore_patterns("__pycache__"))
    with running(cpus=1, machines=1, env_vars={"PYTHONPATH": str(own.parent)}) as cluster:
        yield cluster, own


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_machine_that_is_lost_costs_time_only(project: Project) -> None:
    spread(project, 40)
    there = project.folder / "there"
    there.mkdir()
    slow = SCRIPT.replace("time.sleep(0.2)", "all_four_first(); time.sleep(1.5)")
    project.script = ALL_FOUR_FIRST.replace("THERE", str(there)) + slow
    with running(cpus=2, machines=2) as cluster:
        job = project.start(*on(cluster))
        cluster.remove_node(cluster.list_all_nodes()[1], allow_graceful=False)
        done = project.end(job)
    assert (done.code, done.predictions) == (0, expected(40)), done.err
    assert "is lost" in done.err
    assert done.failures == []
    assert batchtwin("verify", done.output).code == 0


def test_without_its_head_a_job_fails_in_time_and_can_be_resumed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread(project, 20)
    go = project.folder / "go"
    project.script = SCRIPT.replace(
        "time.sleep(0.2)",
        f"""while not os.path.exists({str(go)!r}) and "00.txt" not in str(mini_batch):
            time.sleep(0.01)""",
    )
    with running(cpus=4, machines=1) as cluster:
        # Ray's own patience, a minute, after which it ends the process, in small.
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1")
        job = project.start(*on(cluster, "--ray-wait", "10"))
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        done = project.end(job)
    assert done.code == 1
    assert "the head of the cluster does not answer" in done.log("job_result.txt")
    assert "the head of the cluster does not answer" in done.err
    go.touch()
    again = batchtwin("resume", done.output, "--pool", "local")
    assert (again.code, done.predictions) == (0, expected(20)), again.err


def test_a_machine_with_another_batchtwin_is_known_by_its_version(project: Project, other: tuple[Any, Path]) -> None:
    cluster, own = other
    change(own / "__init__.py", package.__version__, "0.0.0")
    change(own / "engine/prepare.py", "    deployment: Path\n", "")
    spread(project, 2)
    done = project.score("--workers", "1", *on(cluster))
    assert done.code == 1
    assert f"node0 has batchtwin 0.0.0, not {package.__version__}; install one version everywhere" in done.err


def test_why_a_node_was_lost_is_told(project: Project, other: tuple[Any, Path]) -> None:
    cluster, own = other
    change(
        own / "engine/backends/ray/node_actor.py",
        "machine: tuple[str, str], cpus: float, gpus: float",
        "machine: tuple[str, str], cpus: float",
    )
    spread(project, 2)
    done = project.score("--workers", "1", *on(cluster))
    assert done.code == 1
    assert "the last: TypeError: NodeActor.__init__() takes" in done.err
