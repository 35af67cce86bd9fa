"""What ledger and checksums cost: the same job with and without them, in turn (`make bench WHAT=ledger`).

Prints median and minimum of wall and CPU seconds, and their ratios; CPU seconds are the steadier ones. Nothing is
asserted: machines differ, and so do their disks.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence

from benchmarks.contenders import SIMPLE
from benchmarks.measure import Run, beside_python, run
from benchmarks.sets import MODEL, ROOT, DataSet, asked_for

OFF = {"WITHOUT_LEDGER": "1", "PYTHONPATH": str(ROOT / "benchmarks/without_checksums")}
FIGURES: dict[str, Callable[[Run], float]] = {"wall": lambda one: one.wall, "CPU": lambda one: one.cpu}
KINDS: dict[str, Callable[[Sequence[float]], float]] = {"median": statistics.median, "minimum": min}


def job(data: DataSet, output: str, bare: bool) -> Run:
    """Score with a process for each core, whole or without ledger and checksums."""
    words = [
        *(beside_python("python"), str(ROOT / "benchmarks/without_ledger.py"), "score", str(ROOT / SIMPLE)),
        *("--input", str(data.make()), "--model", str(MODEL), "--output", output, "--overwrite"),
        *("--set", f"settings.mini_batch_size={data.mini_batch}"),
    ]
    return run(words, OFF if bare else {})


def main() -> int:
    """Make the data, run both in turn, print the figures."""
    data, rounds = asked_for(__doc__, "LEDGER")
    runs: dict[bool, list[Run]] = {False: [], True: []}
    for number in range(rounds + 1):
        for bare in (False, True) if number % 2 else (True, False):
            with tempfile.TemporaryDirectory(prefix="bench-out-") as output:
                one = job(data, output, bare)
            if number:  # the first round warms the caches
                runs[bare].append(one)
    for figure, of in FIGURES.items():
        for kind, middle in KINDS.items():
            whole, without = (middle([of(one) for one in runs[bare]]) for bare in (False, True))
            print(f"{figure:5}{kind:8} with {whole:6.2f} s  without {without:6.2f} s  ratio {whole / without:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
