"""A Ray cluster of several machines, all of them on this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support import Project

SCRIPT = """
    import os, pathlib, time
    def run(mini_batch):
        time.sleep(0.2)
        return [f"{os.path.basename(path)} {row}" for path in mini_batch for row in range(50)]
"""
SPREAD = {"instance_count": 2, "max_concurrency_per_instance": 2, "mini_batch_size": 2}


@contextmanager
def running(cpus: int, machines: int, **more: Any) -> Iterator[Any]:
    """Start `machines` with so many CPUs each, and with `more` as Ray names it; gives a `ray.cluster_utils.Cluster`."""
    # No telemetry, and no Python process for each CPU before a task wants one.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_prestart_worker_first_driver="0")
    from ray.cluster_utils import Cluster

    resources = {"num_cpus": cpus, "object_store_memory": 80 << 20, "include_dashboard": False, **more}
    cluster = Cluster(initialize_head=True, head_node_args=resources)
    try:
        for _ in range(machines - 1):
            cluster.add_node(**resources)
        yield cluster
    finally:
        cluster.shutdown()


@contextmanager
def blind(cluster: Any, hidden: Path, cpus: int) -> Iterator[subprocess.Popen[bytes]]:
    """Have one more machine join, which sees nothing of a folder: what it starts is in a mount namespace of its own.

    It joins while the caller goes on; a job waits for it.
    """
    private = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.getuid() else [])]
    hide = ["sh", "-c", 'mount -t tmpfs tmpfs "$1" && shift && exec "$@"', "sh", str(hidden)]
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
    arguments = ["--address", str(cluster.address), "--num-cpus", str(cpus), "--object-store-memory", str(80 << 20)]
    machine = subprocess.Popen([*private, *hide, *ray, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield machine
    finally:
        machine.terminate()
        machine.wait()


def on(cluster: Any, *words: str) -> list[str]:
    return ["--pool", "ray", "--ray-address", str(cluster.address), *words]


def spread(project: Project, files: int) -> Project:
    project.files(files)
    project.settings = SPREAD
    project.script = SCRIPT
    return project


def expected(files: int) -> str:
    return "".join(f"{number:02}.txt {row}\n" for number in range(files) for row in range(50))
