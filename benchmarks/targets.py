"""What the project wants of itself, next to what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders import CORES
from benchmarks.results import Result, Results
from benchmarks.sets import BIG, ONE, QUARTER, SMALL, TINY, WIDE, DataSet


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
        walls("wall / import + load + predict", 1.0, TINY, "ours", "start"),
        walls("wall with --warm / import + load + predict", 0.25, TINY, "warm", "start"),
        Target("TINY: seconds with --warm", 0.6, _seconds(results)),
        Target("TINY: --warm, the 8th to 10th run / the 2nd to 4th", 1.1, _ageing(results)),
        walls("wall / pandas loop", 0.54, BIG, "ours", "pandas_loop"),
        Target(f"BIG: wall / (floor / {CORES} cores + import + load)", 1.15, _above_floor(results)),
        Target(f"BIG: wall with --warm / (floor / {CORES} cores)", 1.15, _warm_above_floor(results)),
        walls("wall with --pool ray / wall", 1.5, BIG, "on_ray", "ours"),
        walls("wall / pandas loop", 0.42, SMALL, "ours", "pandas_loop"),
        walls("wall with --coalesce / pandas loop", 0.18, SMALL, "coalesce", "pandas_loop"),
        walls("wall with --split-rows / pandas loop", 0.55, ONE, "split", "pandas_loop"),
        Target("ONE: peak memory with --split-rows / pandas loop", 0.6, _memory(results, "split", "pandas_loop")),
        walls("wall / pandas loop", 1.2, WIDE, "ours", "pandas_loop"),
        *(_against_fastest(results, data, 1.0) for data in (TINY, SMALL, BIG, WIDE)),
        _against_fastest(results, ONE, 0.65, "split"),
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


def _warm_above_floor(results: Results) -> float | None:
    warm, floor = (results.get(BIG, key) for key in ("warm", "floor"))
    return warm.wall / (floor.wall / CORES) if warm and floor else None


def _seconds(results: Results) -> float | None:
    warm = results.get(TINY, "warm")
    return warm.wall if warm else None


def _ageing(results: Results) -> float | None:
    """Whether what stays gets slower: of the first ten runs in a row, the last three and the first three warm ones."""
    warm = results.get(TINY, "warm")
    walls = warm.walls[:9] if warm else []
    return median(walls[6:]) / median(walls[:3]) if len(walls) == 9 else None


def _against_fastest(results: Results, data: DataSet, bound: float, key: str = "ours") -> Target:
    peers = [result for result in results.of_set(data) if result.contender.is_peer and result.counts]
    fastest = min(peers, key=_wall, default=None)
    ours = results.get(data, key)
    what = "" if key == "ours" or ours is None else f" of {ours.contender.title}"
    name = f", {fastest.contender.title}" if fastest else ""
    return Target(f"{data.name}: wall{what} / fastest peer{name}", bound, _ratio(ours, fastest, _wall))


def _memory(results: Results, key: str, other: str) -> float | None:
    return _ratio(results.get(ONE, key), results.get(ONE, other), _peak)


def _growth(results: Results) -> float | None:
    return _ratio(results.get(ONE, "chunked"), results.get(QUARTER, "chunked"), _peak)
