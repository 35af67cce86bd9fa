"""How far workers help: those of this machine are measured, more of them simulated (`make bench WHAT=scaling`).

BIG is scored with one worker up to one for each core. For more workers the controller of `benchmarks/parent.py` answers
the question where it becomes the limit: it is the only part that all workers share. One event arrives at a time, the
dearest case. CPU seconds are the controller's own, so that a busy machine changes little. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.contenders import CORES, SIMPLE, ours
from benchmarks.measure import Run, run
from benchmarks.parent import measure
from benchmarks.sets import BIG

SIMULATED = (1, 2, 4, 8, 16)


def job(workers: int) -> Run:
    """Score BIG with so many workers."""
    with tempfile.TemporaryDirectory(prefix="bench-out-") as output:
        return run([*ours(SIMPLE)(BIG, BIG.make(), Path(output)), "--workers", str(workers)])


def main() -> int:
    """Measure, print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="of BIG; 0 leaves it out")
    parser.add_argument("--mini-batches", type=int, default=50_000)
    asked = parser.parse_args()
    if asked.rounds:
        measured(asked.rounds)
    print("| workers | controller, CPU for each mini-batch | at most, mini-batches/s | busy if each takes less than |")
    print("|---:|---:|---:|---:|")
    for workers in SIMULATED:
        each = measure(asked.mini_batches, workers, 1).cpu / asked.mini_batches
        print(f"| {workers} | {each * 1e6:.0f} us | {1 / each:,.0f} | {workers * each * 1e3:.1f} ms |")
    return 0


def measured(rounds: int) -> None:
    """Print what BIG takes on this machine."""
    runs: dict[int, list[Run]] = {workers: [] for workers in range(1, CORES + 1)}
    for number in range(rounds):
        for workers in sorted(runs, reverse=bool(number % 2)):
            runs[workers].append(job(workers))
    print(f"| workers, {BIG} | wall, s | CPU, s |\n|---:|---:|---:|")
    for workers, some in runs.items():
        wall, cpu = (statistics.median(figure) for figure in ([one.wall for one in some], [one.cpu for one in some]))
        print(f"| {workers} | {wall:.2f} | {cpu:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
