"""Ratios that a regression would break, on small sets, in the plain .venv (`make bench WHAT=check`).

No seconds are compared, only what ran in the same minute: batchtwin with the loop, and with the bare start of a
process. Bounds are generous: a busy machine passes, twice the time or twice the work does not. A ratio above its bound
gets more runs, and of each the best counts, for others can only add to it. Exit code 1 if one stays above, 2 if
something could not run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import ALL
from benchmarks.measure import Run, RunError, beside_python, bury, run
from benchmarks.sets import BIG, ROOT, SMALL, TINY, DataSet

MANY = DataSet("MANY", 200, SMALL.rows_per_file, mini_batch=SMALL.mini_batch)
LARGE = DataSet("LARGE", 4, 150_000, mini_batch=BIG.mini_batch)
SINGLE = DataSet("SINGLE", 1, 600_000)
BROAD = DataSet("BROAD", 4, 20, columns=4_000)
GROUPS = (
    (TINY, ("ours", "warm", "start")),
    (MANY, ("ours", "pandas_loop")),
    (LARGE, ("ours", "pandas_loop")),
    (SINGLE, ("split", "pandas_loop")),
    (BROAD, ("ours", "pandas_loop")),
)
CONTENDERS = {contender.key: contender for contender in ALL}
ROUNDS, MOST_ROUNDS = 1, 5

SOURCES = {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}

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
        return f"{self.text:66}{self.value:6.2f}  at most {self.bound:.2f}  {verdict}"


def ratios(wall: Figures, cpu: Figures) -> list[Ratio]:
    """Return every ratio. Work is what CPU time grows by from TINY to a set with rows in it: the start cancels out."""

    def work(data: DataSet) -> float:
        ours = cpu[data.name, "ours"] - cpu["TINY", "ours"]
        return ours / (cpu[data.name, "pandas_loop"] - cpu["TINY", "start"])

    def walls(data: DataSet, key: str, other: str) -> float:
        return wall[data.name, key] / wall[data.name, other]

    warm = [Ratio("TINY, --warm: wall / import + load + predict", walls(TINY, "warm", "start"), 0.4)]
    return [
        Ratio("TINY: wall / import + load + predict", walls(TINY, "ours", "start"), 1.1),
        Ratio("TINY: CPU / import + load + predict", cpu["TINY", "ours"] / cpu["TINY", "start"], 1.1),
        *(warm if ("TINY", "warm") in wall else []),
        Ratio(f"{MANY}: wall / pandas loop", walls(MANY, "ours", "pandas_loop"), 1.0),
        Ratio(f"{MANY}: CPU of the work / pandas loop's", work(MANY), 1.5),
        Ratio(f"{LARGE}: wall / pandas loop", walls(LARGE, "ours", "pandas_loop"), 0.9),
        Ratio(f"{LARGE}: CPU of the work / pandas loop's", work(LARGE), 1.4),
        Ratio(f"{SINGLE}, --split-rows auto: wall / pandas loop", walls(SINGLE, "split", "pandas_loop"), 0.9),
        Ratio(f"{BROAD}: wall / pandas loop", walls(BROAD, "ours", "pandas_loop"), 1.2),
    ]


def reading() -> list[Ratio]:
    """Return what reading wide tables takes, in CPU time."""
    csv, parquet = map(float, run([beside_python("python"), "-m", "benchmarks.reading"], SOURCES).printed.split())
    return [
        Ratio("8,000 columns in another order: CPU of reading CSV / pandas", csv, 2.0),
        Ratio("8,000 columns in another order: CPU of reading Parquet / pandas", parquet, 2.5),
    ]


def once(data: DataSet, key: str) -> Run:
    """Run one contender on one set; what stays for the next run, a second time."""
    inputs, contender = data.make(), CONTENDERS[key]
    with tempfile.TemporaryDirectory(prefix="bench-") as stays, tempfile.TemporaryDirectory(prefix="bench-out-") as out:
        command = contender.command(data, inputs, Path(out))
        if not contender.stays:
            return run(command)
        try:
            run(command, stays_in=Path(stays))
            return run(command, stays_in=Path(stays))
        finally:
            bury(0)


def one_round(runs: Runs, number: int) -> None:
    """Add a run of each, in the other order in each second round."""
    for data, keys in GROUPS:
        for key in keys[:: 1 if number % 2 else -1]:
            if not CONTENDERS[key].obstacle(data):
                runs[data.name, key].append(once(data, key))


def best(runs: Runs) -> list[Ratio]:
    """Return the ratios of the best runs; or those of the best round, where these are better.

    What is left of two differences of small numbers says little, if the four were not measured in the same minute.
    """

    def of(chosen: Mapping[tuple[str, str], Sequence[Run]]) -> list[Ratio]:
        wall = {name: min(one.wall for one in some) for name, some in chosen.items()}
        return ratios(wall, {name: min(one.cpu for one in some) for name, some in chosen.items()})

    rounds = range(len(next(iter(runs.values()))))
    every = [of(runs), *(of({name: [some[number]] for name, some in runs.items()}) for number in rounds)]
    return [min(same, key=lambda ratio: ratio.value) for same in zip(*every, strict=True)]


def main() -> int:
    """Measure in turn, print the ratios; return the exit code."""
    runs: Runs = defaultdict(list)
    try:
        for number in range(MOST_ROUNDS):
            one_round(runs, number)
            if number + 1 >= ROUNDS and not broken(best(runs)):
                break
        found = [*best(runs), *reading()]
    except RunError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(*found, sep="\n")
    if above := broken(found):
        print(f"bench: {'; '.join(above)}: above the bound", file=sys.stderr)
    return bool(above)


def broken(found: Iterable[Ratio]) -> list[str]:
    """Return which ratios are above their bounds."""
    return [ratio.text for ratio in found if ratio.value > ratio.bound]


if __name__ == "__main__":
    sys.exit(main())
