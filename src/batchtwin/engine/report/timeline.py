"""Tries over time: what each worker did, and how much was done in each stretch of the job. Memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from batchtwin_node.codec import value_object
from batchtwin_node.protocol import Failure, Outcome

# Up to so many tries have a bar each; beyond that each lane shows how busy its worker was.
MOST_BARS = 1200
MOST_LANES = 40
BINS = 120
# Failures that end a worker: a new one replaces it.
DEADLY = frozenset({"timeout", "crashed", "init", "script"})
Mark = Literal["ok", "retry", "failed"]


@value_object
class Bar:
    """One try in seconds since the job began."""

    begin: float
    end: float
    mark: Mark
    event: Outcome | Failure


@dataclass
class Lane:
    """One worker. `busy` and `failed` are for each bin: seconds of work, and failed tries; `deaths` are times."""

    name: str
    busy: list[float]
    failed: list[int]
    retried: list[int]
    bars: list[Bar] = field(default_factory=list)
    deaths: list[float] = field(default_factory=list)
    tries: int = 0
    seconds: float = 0.0


@dataclass
class Timeline:
    """The tries of a job that took `seconds` from `began`; `total` is how many tries there are."""

    began: float
    seconds: float
    total: int
    lanes: dict[str, Lane] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    rows: list[float] = field(default_factory=lambda: [0.0] * BINS)
    files: list[float] = field(default_factory=lambda: [0.0] * BINS)
    first: float | None = None
    last: float = 0.0
    busy: float = 0.0
    run: float = 0.0
    retries: int = 0
    replaced: int = 0

    @property
    def has_bars(self) -> bool:
        """Whether tries are drawn one by one."""
        return self.total <= MOST_BARS

    @cached_property
    def step(self) -> float:
        """Seconds of a bin."""
        return max(self.seconds, 1e-6) / BINS

    def add(self, event: Outcome | Failure) -> None:
        """Take one try, or a worker that never started."""
        begin = event.started - self.began
        begin = 0.0 if begin < 0.0 else self.seconds if begin > self.seconds else begin
        end = begin + event.seconds
        end = begin if end < begin else self.seconds if end > self.seconds else end
        lane = self._lane(event.worker)
        mark: Mark = "ok" if isinstance(event, Outcome) else "failed"
        if isinstance(event, Outcome):
            self._count(end, event)
            mark = "retry" if event.attempt > 1 else "ok"
        if isinstance(event, Failure) and event.kind in DEADLY:
            self.replaced += 1
            if lane and len(lane.deaths) < BINS:
                lane.deaths.append(end)
        if event.mini_batch is not None:
            self.first = begin if self.first is None else min(self.first, begin)
            self.last = max(self.last, end)
            self.busy += end - begin
            self.run += min(event.run_seconds, end - begin)
            self.retries += event.attempt > 1
        if lane:
            self._draw(lane, Bar(begin, end, mark, event))

    def _lane(self, name: str) -> Lane | None:
        lane = self.lanes.get(name)
        if lane is None and len(self.lanes) < MOST_LANES:
            lane = self.lanes[name] = Lane(name, [0.0] * BINS, [0] * BINS, [0] * BINS)
        elif lane is None and len(self.hidden) < 100_000:
            self.hidden.add(name)
        return lane

    def _count(self, end: float, outcome: Outcome) -> None:
        at = self._bin(end)
        self.rows[at] += outcome.rows
        self.files[at] += outcome.succeeded + outcome.failed

    def _draw(self, lane: Lane, bar: Bar) -> None:
        lane.tries += 1
        lane.seconds += bar.end - bar.begin
        if self.has_bars:
            lane.bars.append(bar)
            return
        at, first = self._bin(bar.end), self._bin(bar.begin)
        lane.failed[at] += bar.mark == "failed"
        lane.retried[at] += bar.mark == "retry"
        if first == at:
            lane.busy[at] += bar.end - bar.begin
            return
        for number in range(first, at + 1):
            begin, end = number * self.step, (number + 1) * self.step
            lane.busy[number] += max(0.0, min(end, bar.end) - max(begin, bar.begin))

    def _bin(self, at: float) -> int:
        return min(BINS - 1, max(0, int(at / self.step)))

    def ordered(self) -> Iterator[Lane]:
        """Yield the lanes by name."""
        yield from sorted(self.lanes.values(), key=lambda lane: lane.name)
