"""What ledger and checksums cost: the same job with and without them, in turn (`make bench-ledger`).

Prints the median of each and their ratio. Nothing is asserted: machines differ, and so do their disks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def seconds(command: Sequence[str], env: dict[str, str]) -> float:
    """Run a command to its end and return how long it took."""
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)  # noqa: S603 - our own
    return time.perf_counter() - began


def main() -> int:
    """Make the data, run both in turn, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rows", type=int, default=2_000_000, help="in all")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchtwin-bench-") as folder:
        data = [str(ROOT / "scripts/make_data.py"), "--rows", str(asked.rows), "--files", str(asked.files)]
        subprocess.run([sys.executable, *data, "--out", f"{folder}/data"], check=True, capture_output=True)  # noqa: S603
        words = [
            *("score", str(ROOT / "deployment-simple/deployment.yml"), "--input", f"{folder}/data"),
            *("--model", str(ROOT / "model"), "--set", "settings.mini_batch_size=1", "--overwrite"),
        ]
        whole = [str(Path(sys.executable).with_name("batchtwin")), *words, "--output", f"{folder}/with"]
        bare = [sys.executable, str(ROOT / "benchmarks/without_ledger.py"), *words, "--output", f"{folder}/without"]
        off = {"PYTHONPATH": str(ROOT / "benchmarks/without_checksums")}
        times: dict[str, list[float]] = {"with": [], "without": []}
        for number in range(asked.rounds + 1):
            pair = {"with": seconds(whole, {}), "without": seconds(bare, off)}
            if number:  # the first round warms the caches
                for name, value in pair.items():
                    times[name].append(value)
    middle = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:8} {middle[name]:6.2f} s  ({', '.join(f'{value:.2f}' for value in values)})")
    print(f"ratio    {middle['with'] / middle['without']:6.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
