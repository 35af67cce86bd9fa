"""A Ray cluster of several machines, all of them on this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(cpus: int, machines: int, **more: Any) -> Iterator[Any]:
    """Start `machines` with so many CPUs each, and with `more` as Ray names it; gives a `ray.cluster_utils.Cluster`."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    resources = {"num_cpus": cpus, "object_store_memory": 80 << 20, "include_dashboard": False, **more}
    cluster = Cluster(initialize_head=True, head_node_args=resources)
    try:
        for _ in range(machines - 1):
            cluster.add_node(**resources)
        yield cluster
    finally:
        cluster.shutdown()
