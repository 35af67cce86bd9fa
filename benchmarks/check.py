"""Ratios that a regression would break, on small sets, in the plain .venv (`make bench WHAT=check`).

No seconds are compared, only what ran in the same minute: batchtwin with the loop, and with the bare start of a
process. Bounds are generous: a busy machine passes, twice the time or twice the work does not. Of each the best of two
runs counts, for others can only add to it; a ratio above its bound gets more. Exit code 1 if one stays above, 2 if
something could not run.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import ALL
from benchmarks.measure import Run, RunError, run
from benchmarks.sets import BIG, SMALL, TINY, DataSet

MANY = DataSet("MANY", 300, SMALL.rows_per_file, mini_batch=SMALL.mini_batch)
LARGE = DataSet("LARGE", 4, 200_000, mini_batch=BIG.mini_batch)
PAIRS = ((TINY, "start"), (MANY, "pandas_loop"), (LARGE, "pandas_loop"))  # what ours is compared with
CONTENDERS = {contender.key: contender for contender in ALL}
ROUNDS, MOST_ROUNDS = 2, 5

Runs = defaultdict[tuple[str, str], list[Run]]

Figures = Mapping[tuple[str, str], float]
"""(set, contender) -> seconds."""


@dataclass(frozen=True)
class Ratio:
    """Something of ours, divided by the same of something else, and its bound."""

    text: str
    value: float
    bound: float

    def __str__(self) -> str:
        verdict = "ok" if self.value <= self.bound else "ABOVE ITS BOUND"
        return f"{self.text:60}{self.value:6.2f}  at most {self.bound:.2f}  {verdict}"


def ratios(wall: Figures, cpu: Figures) -> list[Ratio]:
    """Return every ratio. Work is what CPU time grows by from TINY to a set with rows in it: the start cancels out."""

    def work(data: DataSet) -> float:
        ours = cpu[data.name, "ours"] - cpu["TINY", "ours"]
        return ours / (cpu[data.name, "pandas_loop"] - cpu["TINY", "start"])

    def walls(data: DataSet, other: str) -> float:
        return wall[data.name, "ours"] / wall[data.name, other]

    return [
        Ratio("TINY: wall / import + load + predict", walls(TINY, "start"), 1.3),
        Ratio("TINY: CPU / import + load + predict", cpu["TINY", "ours"] / cpu["TINY", "start"], 1.3),
        Ratio(f"{MANY}: wall / pandas loop", walls(MANY, "pandas_loop"), 1.0),
        Ratio(f"{MANY}: CPU of the work / pandas loop's", work(MANY), 1.5),
        Ratio(f"{LARGE}: wall / pandas loop", walls(LARGE, "pandas_loop"), 1.1),
        Ratio(f"{LARGE}: CPU of the work / pandas loop's", work(LARGE), 1.4),
    ]


def once(data: DataSet, key: str) -> Run:
    """Run one contender on one set."""
    inputs = data.make()
    with tempfile.TemporaryDirectory(prefix="bench-out-") as folder:
        return run(CONTENDERS[key].command(data, inputs, Path(folder)))


def one_round(runs: Runs, number: int) -> None:
    """Add a run of each, ours first or second in turn."""
    for data, other in PAIRS:
        for key in ("ours", other) if number % 2 else (other, "ours"):
            runs[data.name, key].append(once(data, key))


def best(runs: Runs) -> list[Ratio]:
    """Return the ratios of the best runs."""
    wall = {name: min(one.wall for one in some) for name, some in runs.items()}
    cpu = {name: min(one.cpu for one in some) for name, some in runs.items()}
    return ratios(wall, cpu)


def main() -> int:
    """Measure in turn, print the ratios; return the exit code."""
    runs: Runs = defaultdict(list)
    try:
        for number in range(MOST_ROUNDS):
            one_round(runs, number)
            if number + 1 >= ROUNDS and not broken(best(runs)):
                break
    except RunError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    found = best(runs)
    print(*found, sep="\n")
    if above := broken(found):
        print(f"bench: {'; '.join(above)}: above the bound", file=sys.stderr)
    return bool(above)


def broken(found: Iterable[Ratio]) -> list[str]:
    """Return which ratios are above their bounds."""
    return [ratio.text for ratio in found if ratio.value > ratio.bound]


if __name__ == "__main__":
    sys.exit(main())
