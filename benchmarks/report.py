"""What `report.html` costs: the same jobs with and without it, in turn (`make bench WHAT=report`).

Prints the medians of wall and CPU seconds for BIG and TINY, and what the report adds to each. Nothing is asserted: the
targets are 2 % of BIG's wall time and 0.15 s of TINY's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.contenders import CORES, SIMPLE
from benchmarks.measure import Run, RunError, beside_python, run
from benchmarks.sets import BIG, ROOT, TINY, DataSet

FIGURES: dict[str, Callable[[Run], float]] = {"wall": lambda one: one.wall, "CPU": lambda one: one.cpu}


def job(data: DataSet, bare: bool) -> Run:
    """Score with a worker for each core, with or without the report."""
    with tempfile.TemporaryDirectory(prefix="bench-out-") as output:
        words = [
            *(beside_python("python"), str(ROOT / "benchmarks/without_report.py"), "score", str(ROOT / SIMPLE)),
            *("--input", str(data.make()), "--model", str(data.model), "--output", output, "--overwrite"),
            *("--workers", str(CORES), "--set", f"settings.mini_batch_size={data.mini_batch}"),
        ]
        one = run(words, {"WITHOUT_REPORT": "1"} if bare else {})
        if Path(output, "report.html").exists() == bare:
            raise RunError(words, 0, "report.html is there, or is not, and should not be so")
        return one


def main() -> int:
    """Run both in turn, print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for data in (TINY, BIG):
        runs: dict[bool, list[Run]] = {False: [], True: []}
        for number in range(rounds + 1):
            for bare in (False, True) if number % 2 else (True, False):
                one = job(data, bare)
                if number:  # the first round warms the caches
                    runs[bare].append(one)
        for figure, of in FIGURES.items():
            whole, without = (statistics.median(map(of, runs[bare])) for bare in (False, True))
            ratio = f"{whole - without:+6.3f} s, ratio {whole / without:.3f}"
            print(f"{data.name:6}{figure:5} with {whole:6.3f} s  without {without:6.3f} s  {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
