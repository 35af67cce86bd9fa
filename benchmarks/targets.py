"""What the project wants of itself, next to what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contenders import CORES
from benchmarks.results import Result, Results
from benchmarks.sets import BIG, ONE, QUARTER, SMALL, TINY, DataSet

EVERY = (TINY, SMALL, BIG, ONE)


@dataclass(frozen=True)
class Target:
    """A ratio that is to be at most `bound`; `measured` is None where what it needs was not measured."""

    text: str
    bound: float
    measured: float | None

    @property
    def is_met(self) -> bool:
        """Whether the measured ratio, as it is printed, is within the bound."""
        return self.measured is not None and round(self.measured, 2) <= self.bound


def targets(results: Results) -> list[Target]:
    """Return every target with its measured value."""

    def walls(text: str, bound: float, data: DataSet, key: str, other: str) -> Target:
        return Target(f"{data.name}: {text}", bound, _ratio(results.get(data, key), results.get(data, other), _wall))

    return [
        walls("wall / import + load + predict", 1.15, TINY, "ours", "start"),
        walls("wall / pandas loop", 0.62, BIG, "ours", "pandas_loop"),
        walls("wall / pool", 0.8, BIG, "ours", "pool"),
        Target(f"BIG: wall / (floor / {CORES} cores + import + load)", 1.15, _above_floor(results)),
        walls("wall / pandas loop", 0.5, SMALL, "ours", "pandas_loop"),
        walls("wall / pool", 1.0, SMALL, "ours", "pool"),
        walls("wall with --coalesce / pandas loop", 0.25, SMALL, "coalesce", "pandas_loop"),
        *(_against_fastest(results, data) for data in EVERY),
        Target("ONE: peak memory / pandas loop", 1.2, _memory(results, "ours", "pandas_loop")),
        Target(f"chunked driver: peak memory at {ONE.rows:,} rows / at {QUARTER.rows:,}", 1.1, _growth(results)),
    ]


def _wall(result: Result) -> float:
    return result.wall


def _peak(result: Result) -> float:
    return result.peak


def _ratio(one: Result | None, other: Result | None, figure: Callable[[Result], float]) -> float | None:
    return figure(one) / figure(other) if one and other else None


def _above_floor(results: Results) -> float | None:
    ours, floor, load = (results.get(BIG, key) for key in ("ours", "floor", "load"))
    return ours.wall / (floor.wall / CORES + load.wall) if ours and floor and load else None


def _against_fastest(results: Results, data: DataSet) -> Target:
    peers = [result for result in results.of_set(data) if result.contender.is_peer and result.counts]
    fastest = min(peers, key=_wall, default=None)
    name = f", {fastest.contender.title}" if fastest else ""
    return Target(f"{data.name}: wall / fastest peer{name}", 1.0, _ratio(results.get(data, "ours"), fastest, _wall))


def _memory(results: Results, key: str, other: str) -> float | None:
    return _ratio(results.get(ONE, key), results.get(ONE, other), _peak)


def _growth(results: Results) -> float | None:
    return _ratio(results.get(ONE, "chunked"), results.get(QUARTER, "chunked"), _peak)
