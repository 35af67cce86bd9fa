"""What it costs that a machine of a Ray cluster shares no folder with the parent: `make bench WHAT=away`.

The same job on the same cluster (one node, on this machine), in turn with an output folder that the node sees, and with
one whose path leads elsewhere in each process, as that of an unshared folder does on each machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.contenders import SIMPLE
from benchmarks.measure import LIMIT, RunError, beside_python
from benchmarks.sets import MODEL, ROOT, DataSet, asked_for

UNSHARED = "/proc/self/cwd"


def job(data: DataSet, address: str, output: str, folder: str) -> float:
    """Score on the cluster with a worker for each core; return the seconds that took."""
    words = [
        *(beside_python("batchtwin"), "score", str(ROOT / SIMPLE), "--input", str(data.make()), "--model", str(MODEL)),
        *("--output", f"{output}/job", "--overwrite", "--workers", str(os.cpu_count())),
        *("--pool", "ray", "--ray-address", address),
    ]
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own
        words, cwd=folder, check=True, capture_output=True, text=True, timeout=LIMIT
    )
    seconds = time.perf_counter() - began
    if ("does not see" in done.stderr) != (output == UNSHARED):
        raise RunError(
            words, done.returncode, f"the node sees what it should not, or does not what it should\n{done.stderr}"
        )
    return seconds


def main() -> int:
    """Start a cluster, run both in turn, print the figures."""
    data, rounds = asked_for(__doc__, "AWAY")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": os.cpu_count(), "include_dashboard": False})
    walls: dict[str, list[float]] = {"shared": [], "unshared": []}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-out-") as folder:
            for number in range(rounds + 1):
                for kind, output in (("shared", folder), ("unshared", UNSHARED))[:: 1 if number % 2 else -1]:
                    seconds = job(data, str(cluster.address), output, folder)
                    if number:  # the first round warms the caches
                        walls[kind].append(seconds)
            size = (Path(folder) / "job/named-outputs/score/predictions.csv").stat().st_size
    finally:
        cluster.shutdown()
    shared, unshared = map(statistics.median, walls.values())
    print(f"{data}, {size / 1e6:.1f} MB of predictions, {rounds} rounds, medians:")
    print(f"shared folder {shared:.2f} s, no shared folder {unshared:.2f} s, ratio {unshared / shared:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
