"""What was measured: of each contender on each set its runs, and the figures that come of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from benchmarks.contenders import Contender
from benchmarks.measure import Run
from benchmarks.sets import DataSet


@dataclass
class Result:
    """The runs of one contender on one set, or why there are none that count."""

    contender: Contender
    data: DataSet
    runs: list[Run] = field(default_factory=list)
    why_not: str = ""

    @property
    def counts(self) -> bool:
        """Whether it ran, and gave the right predictions."""
        return bool(self.runs) and not self.why_not

    @property
    def walls(self) -> list[float]:
        """Seconds of each run: of the whole process, or what it timed itself."""
        return [float(run.printed) if self.contender.prints_seconds else run.wall for run in self.runs]

    @property
    def wall(self) -> float:
        """Median."""
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        """Median of the seconds that all its processes computed, whole runs."""
        return statistics.median(run.cpu for run in self.runs)

    @property
    def peak(self) -> float:
        """Median of the bytes that all its processes held together, at most."""
        return statistics.median(run.peak for run in self.runs)

    @property
    def rows_per_second(self) -> float:
        """By the median wall time."""
        return self.data.rows / self.wall


class Results:
    """All results, by the names of set and contender."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Result] = {}

    def add(self, result: Result) -> None:
        """Keep one."""
        self._all[result.data.name, result.contender.key] = result

    def of_set(self, data: DataSet) -> list[Result]:
        """Those of a set, in the order in which they were added."""
        return [result for (name, _), result in self._all.items() if name == data.name]

    def compared(self, data: DataSet) -> list[Result]:
        """Return the peers that ours is compared with: the loop, and the fastest so far."""
        peers = [result for result in self.of_set(data) if result.contender.is_peer and result.counts]
        fastest = sorted(peers, key=lambda result: result.wall)[:1]
        return [*fastest, *(result for result in peers if result.contender.key == "pandas_loop")]

    def get(self, data: DataSet, key: str) -> Result | None:
        """The result that counts, if there is one."""
        result = self._all.get((data.name, key))
        return result if result and result.counts else None
