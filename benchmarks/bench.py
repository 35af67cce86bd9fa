"""Measure batchtwin and what people would use instead: same files, same model, whole processes, in turn (`make bench`).

A first round, not counted, warms the page cache, compares predictions and measures memory, which disturbs the time.
In the rounds that count the order is another each time. What does not give our predictions gets no figure.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.contenders import ALL, SETS, Contender
from benchmarks.measure import Run, RunError, run
from benchmarks.results import Result, Results
from benchmarks.sets import DataSet

QUICK_ROUNDS, SLOW_ROUNDS = 5, 3
SLOW = 15.0  # seconds: what takes longer gets SLOW_ROUNDS


@dataclass(frozen=True)
class Options:
    """What is asked for: `rounds` 0 lets each contender's speed decide."""

    sets: Sequence[DataSet]
    contenders: Sequence[Contender]
    rounds: int
    write: Path | None


def parse(argv: Sequence[str] | None) -> Options:
    """Return the options; end with exit code 2 on names that are none."""
    peers = [contender.key for contender in ALL if contender.is_peer]
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=[data.name for data in SETS], help="default: all")
    parser.add_argument(
        "--peers", nargs="*", choices=peers, metavar="PEER", help=f"of {', '.join(peers)}; default: all"
    )
    parser.add_argument("--rounds", type=int, default=0, help=f"default: {QUICK_ROUNDS}, of what is slow {SLOW_ROUNDS}")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the figures between the marks in this file")
    asked = parser.parse_args(argv)
    return Options(
        [data for data in SETS if asked.sets is None or data.name in asked.sets],
        [one for one in ALL if not one.is_peer or asked.peers is None or one.key in asked.peers],
        asked.rounds,
        asked.write,
    )


class Bench:
    """Runs contenders and tells on stderr how it goes."""

    def __init__(self, rounds: int) -> None:
        self.results = Results()
        self._right: dict[str, str] = {}  # set -> digest of the predictions: ours, for ours is the first
        self._rounds = rounds
        self._console = Console(stderr=True, highlight=False)

    def measure(self, data: DataSet, contenders: Sequence[Contender]) -> None:
        """Measure all on one set."""
        inputs = data.make()
        here = [Result(one, data, why_not=one.obstacle(data)) for one in contenders if data.name in one.sets]
        for result in here:
            self.results.add(result)
            if not result.why_not:
                self._first(result, inputs)
        for number in range(1, (self._rounds or QUICK_ROUNDS) + 1):
            random.Random(f"{data.name} {number}").shuffle(here)  # noqa: S311 - an order, no secret
            for result in here:
                if not result.why_not and number <= self._rounds_of(result):
                    if one := self._once(result, inputs, f"round {number}"):
                        result.runs.append(one)

    def _first(self, result: Result, inputs: Path) -> None:
        """Run for the memory, the predictions and the page cache."""
        if one := self._once(result, inputs, "first round", memory=True):
            result.peak, result.first = one.peak, one.wall

    def _once(self, result: Result, inputs: Path, which: str, memory: bool = False) -> Run | None:
        """Run with an output folder of its own; None, and why, if there was an error or other predictions than ours."""
        with tempfile.TemporaryDirectory(prefix="bench-out-") as folder:
            os.sync()  # what others wrote is not written back while this one is timed
            try:
                one = run(result.contender.command(result.data, inputs, Path(folder)), memory=memory)
            except RunError as error:
                self._console.print(error, markup=False)
                result.why_not = f"ended with an error ({which})"
                return None
            digest = result.contender.digest(Path(folder))
        if digest and digest != self._right.setdefault(result.data.name, digest):
            result.why_not = f"gave other predictions ({which})"
        words = f"{result.data.name:8}{which:12} {result.contender.title:28}"
        self._console.print(f"{words}{one.wall:8.2f} s{one.cpu:8.2f} CPU s  {result.why_not}", markup=False)
        return one

    def _rounds_of(self, result: Result) -> int:
        return self._rounds or (SLOW_ROUNDS if result.first > SLOW else QUICK_ROUNDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    options = parse(argv)
    if options.write:
        report.check_marks(options.write)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is running and its files go, as after Ctrl-C
    bench = Bench(options.rounds)
    before = report.machine()
    for data in options.sets:
        bench.measure(data, options.contenders)
    report.show(bench.results, options.sets)
    if options.write:
        report.write(options.write, bench.results, options.sets, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
