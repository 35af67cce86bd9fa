"""The pool on Ray: the bytes of the local one, whatever is lost; it says what it waits for, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from batchtwin.engine.backends.node_pool import room_ahead
from batchtwin.engine.backends.ray.head import UNUSED, lean_head
from batchtwin.engine.backends.ray.node_actor import machine_environment
from batchtwin_node.launcher import devices
from ray_cluster import SCRIPT, SPREAD, expected, on, running, spread
from support import Finished, Project, batchtwin, wait_for

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def two() -> Iterator[Any]:
    """Two machines of two CPUs and two GPUs each."""
    with running(cpus=2, machines=2, num_gpus=2) as cluster:
        yield cluster


def together(project: Project, nodes: int, each: int, row: str) -> None:
    """One mini-batch for each worker, none of which ends before all are there. Its row is what `row` says."""
    there = project.folder / "there"
    there.mkdir()
    project.files(nodes * each)
    project.settings = {"instance_count": nodes, "max_concurrency_per_instance": each}
    project.script = f"""
        import os, psutil, time
        def run(mini_batch):
            open({str(there)!r} + f"/{{os.getpid()}}", "w").close()
            while len(os.listdir({str(there)!r})) < {nodes * each}:
                time.sleep(0.01)
            return [{row}]
    """


def test_the_bytes_are_those_of_the_local_pool(project: Project, two: Any) -> None:
    spread(project, 20)
    there = project.folder / "there"
    there.mkdir()
    # Nobody goes on before all four workers are there: one machine may be ready long before the other.
    project.script = f"""
        import os, time
        def run(mini_batch):
            open({str(there)!r} + f"/{{os.getpid()}}", "w").close()
            while len(os.listdir({str(there)!r})) < 4:
                time.sleep(0.01)
            return [f"{{os.path.basename(path)}} {{row}}" for path in mini_batch for row in range(50)]
    """
    done = project.score("--workers", "4", *on(two))
    assert (done.code, done.predictions) == (0, expected(20)), done.err
    assert {path.name for path in (done.output / "logs/sys/node").iterdir()} == {"node0", "node1"}
    assert (done.output / "logs/perf/node1/node_resource_usage.csv").exists()
    assert batchtwin("verify", done.output).code == 0
    for workers in ("1", "4"):
        local = project.score("--workers", workers, "--pool", "local", "--overwrite")
        assert local.predictions == expected(20)


def test_a_job_may_be_resumed_elsewhere(project: Project, two: Any) -> None:
    spread(project, 20)
    job = project.start(*on(two))
    job.kill()
    project.end(job)
    resumed = batchtwin("resume", project.folder / "job", "--pool", "local")
    assert resumed.code == 0, resumed.err
    assert Finished(0, "", "", project.folder / "job").predictions == expected(20)


def test_an_actor_that_is_lost_is_replaced(project: Project, two: Any) -> None:
    spread(project, 40)
    another = project.folder / "job/logs/sys/node/node2"
    project.script = SCRIPT.replace(
        "time.sleep(0.2)",
        f"""while not os.path.exists({str(another)!r}) and "00.txt" not in str(mini_batch):
            time.sleep(0.01)""",
    )
    job = project.start(*on(two))
    wait_for(lambda: len(hosts()) == 2)
    hosts()[0].kill()
    done = project.end(job)
    assert (done.code, done.predictions) == (0, expected(40)), done.err
    assert "is lost" in done.err
    assert another.exists(), "a node that takes the place of another is a new one"


def hosts() -> list[psutil.Process]:
    """The actors of the clusters that this process has started."""
    below = psutil.Process().children(recursive=True)
    with_names = psutil.process_iter(["name"])
    return [process for process in with_names if process in below and process.info["name"].startswith("ray::NodeActor")]


def test_what_kills_every_machine_it_is_on_is_out_of_tries(project: Project, two: Any) -> None:
    project.files(4)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = """
        import os, signal
        def run(mini_batch):
            if mini_batch[0].endswith("02.txt"):
                os.kill(os.getppid(), signal.SIGKILL)
            return [os.path.basename(path) for path in mini_batch]
    """
    done = project.score("--workers", "2", *on(two))
    assert (done.code, done.predictions) == (0, "00.txt\n01.txt\n03.txt\n"), done.err
    [failure] = done.failures
    assert (failure["kind"], failure["attempts"]) == ("crashed", 1)
    assert "was with 3 nodes that were lost" in failure["message"]


def test_room_that_there_is_not_is_not_waited_for_for_ever(project: Project, two: Any) -> None:
    spread(project, 20)
    done = project.score("--workers", "4", *on(two, "--ray-cpus", "8", "--ray-wait", "1"))
    assert done.code == 1
    assert "requested 2 x 16 CPU (4 workers on 2 nodes)" in done.err
    assert "there is 2 x 2 CPU and 2 GPU, of which 4 CPU and 4 GPU are free" in done.err
    assert "batchtwin resume" in done.err
    again = batchtwin("resume", done.output, *on(two))
    assert again.code == 0, again.err


def test_small_nodes_are_spread_over_machines(project: Project, two: Any) -> None:
    together(project, 2, 1, "psutil.Process(os.getppid()).parent().parent().ppid()")
    done = project.score("--workers", "2", *on(two, "--ray-cpus", "0.1"))
    assert done.code == 0, done.err
    assert len(set(done.predictions.split())) == 2, "the actor of each node has another raylet"


def test_a_node_too_many_is_waited_for_while_others_work(project: Project, two: Any) -> None:
    spread(project, 12)
    project.settings = {**SPREAD, "instance_count": 3}
    done = project.score("--workers", "6", *on(two, "--ray-wait", "30"))
    assert (done.code, done.predictions) == (0, expected(12)), done.err


def test_parts_of_gpus_may_be_more_than_one_and_no_whole_number(project: Project, two: Any) -> None:
    together(project, 1, 3, 'os.environ["CUDA_VISIBLE_DEVICES"]')
    done = project.score("--workers", "3", *on(two, "--ray-cpus", "0.5", "--ray-gpus", "0.5"))
    assert (done.code, sorted(done.predictions.split())) == (0, ["0", "0", "1"]), done.err


def test_the_reason_for_a_loss_is_that_of_the_exception() -> None:
    from ray.exceptions import RayTaskError

    from batchtwin.engine.backends.ray.pool import reason

    cause = ValueError("first\nsecond")
    trace = f"Traceback (most recent call last):\n  File ...\n{cause!r}"
    error = RayTaskError("step", trace, cause, proctitle="ray::Host.step", pid=1, ip="10.0.0.2")
    assert reason(error.as_instanceof_cause()) == "ValueError: first second, on 10.0.0.2"


def test_a_path_that_only_looks_shared_is_left_alone(project: Project, two: Any) -> None:
    spread(project, 2)
    # Elsewhere for each process, as such a path is for each machine.
    output = "/proc/self/cwd/not-shared"
    words: list[str | Path] = ["score", project.write(), "--input", project.inputs, "--output", output]
    done = batchtwin(*words, *on(two), cwd=project.folder)
    assert done.code == 0, done.err
    assert f"does not see {output}" in done.err
    assert (project.folder / "not-shared/named-outputs/score/predictions.csv").read_text() == expected(2)
    assert not Path("not-shared").exists()


def test_where_no_cluster_answers_nothing_is_written(project: Project) -> None:
    spread(project, 2)
    done = project.score("--pool", "ray", "--ray-address", "127.0.0.1:1")
    assert done.code == 2
    advice = "start the cluster, or give its head's address"
    assert done.err.splitlines()[-1] == f"--ray-address 127.0.0.1:1: Connection refused; {advice}"
    assert not (done.output / "job.sqlite").exists()


def test_without_an_address_there_is_a_cluster_for_this_job_alone(project: Project) -> None:
    spread(project, 4)
    go = project.folder / "go"
    project.script = f"""
        import os, time
        def run(mini_batch):
            yours = [f"{{os.path.basename(path)}} {{row}}" for path in mini_batch for row in range(50)]
            while "02.txt 0" in yours and not os.path.exists({str(go)!r}):
                time.sleep(0.01)
            return yours
    """
    job = project.start("--pool", "ray")
    children = psutil.Process(job.pid).children(recursive=True)
    processes = [process for process in psutil.process_iter(["name", "cmdline"]) if process in children]
    [raylet] = [process for process in processes if process.info["name"] == "raylet"]
    scripts = {Path(word).name for process in processes for word in process.info["cmdline"] or []}
    assert "gcs_server" in scripts
    assert not scripts & {"monitor.py", "log_monitor.py", "dashboard.py"}  # nobody uses them; each takes a second
    options = dict(word.split("=", 1) for word in raylet.cmdline() if "=" in word)
    there = options["--gcs-address"]
    [token] = {process.environ()["RAY_AUTH_TOKEN"] for process in [raylet]}
    assert token not in " ".join(raylet.cmdline())
    outsider = project.folder / "outsider"
    outsider.mkdir()
    other = Project(outsider / "project", SCRIPT)
    other.files(1)
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    refused = other.score("--pool", "ray", "--ray-address", there, env=env)
    assert refused.code == 2, refused.err
    assert "does it want another token" in refused.err.splitlines()[-1]
    go.touch()
    done = project.end(job)
    assert (done.code, done.predictions) == (0, expected(4)), done.err
    wait_for(lambda: not raylet.is_running())


def test_ray_is_as_it_was_after_the_start_of_its_head() -> None:
    from ray._private.node import Node

    methods = dict(vars(Node))
    with pytest.raises(RuntimeError), lean_head():
        assert {name for name in methods if vars(Node)[name] is not methods[name]} == set(UNUSED)
        raise RuntimeError
    assert dict(vars(Node)) == methods


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ray-address", "ray://head:10001"], "start batchtwin on a machine of the cluster"),
        (["--ray-env", "NO_SUCH_VARIABLE"], "--ray-env NO_SUCH_VARIABLE: there is no such variable here"),
        (["--image", "any"], "--env image:any: does not go with --pool ray"),
    ],
)
def test_what_cannot_be_followed_is_refused(project: Project, words: list[str], said: str) -> None:
    spread(project, 1)
    done = project.score("--pool", "ray", *words)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("words", [["--ray-address", "head:6379"], ["--ray-cpus", "2"], ["--ray-env", "PATH"]])
def test_what_is_said_of_no_ray_is_refused(project: Project, words: list[str]) -> None:
    spread(project, 1)
    done = project.score(*words, env={"RAY_ADDRESS": "elsewhere:6379"})
    assert (done.code, done.err) == (2, f"{words[0]} requires --pool ray\n")
    assert project.score(env={"RAY_ADDRESS": "elsewhere:6379"}).code == 0


def test_a_variable_goes_along_and_rays_own_do_not(project: Project, two: Any) -> None:
    project.files(1)
    project.script = """
        import os
        def run(mini_batch):
            return [os.environ["MINE"], str([name for name in os.environ if name.startswith("RAY_")])]
    """
    done = project.score(*on(two, "--ray-env", "MINE"), env={"MINE": "1"})
    assert (done.code, done.predictions) == (0, "1\n[]\n"), done.err
    assert not any("MINE=1" in path.read_text() for path in done.output.rglob("*.txt"))


@pytest.mark.parametrize(
    ("seconds", "room"), [(0, 0), (0.0001, 64), (0.002, 50), (0.05, 2), (0.5, 1), (1.0, 0), (30, 0)]
)
def test_short_work_is_handed_out_ahead(seconds: float, room: int) -> None:
    assert room_ahead(seconds) == room


@pytest.mark.parametrize(
    ("visible", "gpus", "shares"),
    [
        ("4,5", 1, ["4", "5"]),
        ("4,5,6,7", 2, ["4,5", "6,7"]),
        ("4", 0.5, ["4", "4"]),
        ("4,5", 0.5, ["4", "4", "5", "5"]),
        ("", 1, [""]),
    ],
)
def test_workers_of_a_node_share_its_devices(visible: str, gpus: float, shares: list[str]) -> None:
    assert [devices(visible, gpus, slot) for slot in range(len(shares))] == shares


def test_threads_are_counted_for_each_worker_not_as_ray_says() -> None:
    mine = {"OMP_NUM_THREADS": "8", "RAY_JOB_ID": "1", "PATH": "/bin"}
    assert machine_environment(mine, {}) == {"PATH": "/bin"}
    assert machine_environment(mine, {"OMP_NUM_THREADS": "2"}) == {"PATH": "/bin", "OMP_NUM_THREADS": "2"}
