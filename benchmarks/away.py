"""What it costs that a machine of a Ray cluster shares no folder with the parent: `make bench-away`.

The same job on the same cluster (one node, on this machine), in turn with an output folder that the node sees, and with
one whose path leads elsewhere in each process, as that of an unshared folder does on each machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.contenders import MODEL, SIMPLE
from benchmarks.measure import LIMIT, beside_python
from benchmarks.sets import BIG, ROOT, DataSet

UNSHARED = "/proc/self/cwd"


def job(data: DataSet, address: str, output: str, folder: str) -> float:
    """Score on the cluster with a worker for each core; return the seconds that took."""
    words = [
        *(beside_python("batchtwin"), "score", str(ROOT / SIMPLE), "--input", str(data.make()), "--model", str(MODEL)),
        *("--output", f"{output}/job", "--overwrite", "--workers", str(os.cpu_count())),
        *("--pool", "ray", "--ray-address", address),
    ]
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=LIMIT)  # noqa: S603 - our own
    return time.perf_counter() - began


def main() -> int:
    """Start a cluster, run both in turn, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=BIG.files)
    parser.add_argument("--rows", type=int, default=BIG.rows_per_file, help="of each file")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    data = DataSet("AWAY", asked.files, asked.rows)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": os.cpu_count(), "include_dashboard": False})
    walls: dict[str, list[float]] = {"shared": [], "unshared": []}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-out-") as folder:
            for number in range(asked.rounds + 1):
                for kind, output in (("shared", folder), ("unshared", UNSHARED))[:: 1 if number % 2 else -1]:
                    seconds = job(data, str(cluster.address), output, folder)
                    if number:  # the first round warms the caches
                        walls[kind].append(seconds)
            size = (Path(folder) / "job/named-outputs/score/predictions.csv").stat().st_size
    finally:
        cluster.shutdown()
    shared, unshared = map(statistics.median, walls.values())
    print(f"{data}, {size / 1e6:.1f} MB of predictions, {asked.rounds} rounds, medians:")
    print(f"shared folder {shared:.2f} s, no shared folder {unshared:.2f} s, ratio {unshared / shared:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
