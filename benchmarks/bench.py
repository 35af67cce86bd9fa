"""Measure batchtwin and what people would use instead: same files, same model, whole processes, in turn (`make bench`).

What is read is in the page cache before. The first round tells who is slow: that runs once, unless it is compared with.
In the other rounds the order is another each time. What does not give our predictions gets no figure.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import tables
from benchmarks.contenders import ALL, SETS, Contender
from benchmarks.measure import Run, RunError, bury, run
from benchmarks.results import Result, Results
from benchmarks.sets import TINY, DataSet

ROUNDS = 3
SLOW = 6.0  # seconds: a peer that takes longer runs once, except the loop and the fastest peer
MOST = 30.0  # seconds of one contender on one set, after its second run
WARM_RUNS, FIRST_WARM_RUNS = 2, 9  # in a row, after one that does not count
CACHED = {".so", ".pyc", ".jar"}


@dataclass(frozen=True)
class Options:
    """What is asked for."""

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
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of what is not slow; default: %(default)s")
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
        read_all(inputs.iterdir())
        here = [Result(one, data, why_not=one.obstacle(data)) for one in contenders if data.name in one.sets]
        for result in here:
            self.results.add(result)
        order = list(here)
        for number in range(1, self._rounds + 1):
            for result in order:
                if not result.why_not and self._has_turn(result, number):
                    self._turn(result, inputs, number)
            random.Random(f"{data.name} {number}").shuffle(order)  # noqa: S311 - an order, no secret

    def _has_turn(self, result: Result, number: int) -> bool:
        """Whether another run is worth its time."""
        if number == 1:
            return True
        is_compared = not result.contender.is_peer or result in self.results.compared(result.data)
        if result.wall > SLOW and not is_compared:
            return False
        return len(result.runs) < 2 or sum(result.walls) + result.wall <= MOST

    def _turn(self, result: Result, inputs: Path, number: int) -> None:
        """Run once; what stays, several times in a row."""
        if not result.contender.stays:
            self._once(result, inputs, f"round {number}")
            return
        many = number == 1 and result.data is TINY
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                self._once(result, inputs, "cold", Path(folder), counts=False)
                for again in range(FIRST_WARM_RUNS if many else WARM_RUNS):
                    if not result.why_not:
                        self._once(result, inputs, f"again {again + 1}", Path(folder))
            finally:
                bury(0)

    def _once(
        self, result: Result, inputs: Path, which: str, stays_in: Path | None = None, *, counts: bool = True
    ) -> None:
        """Run with an output folder of its own; note why not, if there was an error or other predictions than ours."""
        with tempfile.TemporaryDirectory(prefix="bench-out-") as folder:
            os.sync()  # what others wrote is not written back while this one is timed
            try:
                one = run(result.contender.command(result.data, inputs, Path(folder)), stays_in=stays_in)
            except RunError as error:
                self._console.print(error, markup=False)
                result.why_not = f"ended with an error ({which})"
                return
            digest = result.contender.digest(Path(folder))
        if digest and digest != self._right.setdefault(result.data.name, digest):
            result.why_not = f"gave other predictions ({which})"
        self._tell(result, one, which)
        if counts:
            result.runs.append(one)

    def _tell(self, result: Result, one: Run, which: str) -> None:
        words = f"{result.data.name:8}{which:12} {result.contender.title:30}"
        figures = f"{one.wall:8.2f} s{one.cpu:8.2f} CPU s{one.peak / 2**20:8.0f} MiB"
        self._console.print(f"{words}{figures}  {result.why_not}", markup=False)


def read_all(paths: Iterable[Path]) -> None:
    """Read files, so that they are in the page cache: nobody is timed while a disk is read."""
    for path in paths:
        if path.is_file():
            with path.open("rb") as stream:
                while stream.read(1 << 24):
                    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    options = parse(argv)
    if options.write:
        tables.check_marks(options.write)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is running and its files go, as after Ctrl-C
    bench = Bench(options.rounds)
    before = tables.machine()
    began = time.perf_counter()
    read_all(path for path in Path(sysconfig.get_path("purelib")).rglob("*") if path.suffix in CACHED)
    for data in options.sets:
        bench.measure(data, options.contenders)
    tables.show(bench.results, options.sets)
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes")
    if options.write:
        tables.write(options.write, bench.results, options.sets, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
