"""The distribution of one column of predictions in bounded memory, and the distance of two distributions."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

MISSING = frozenset({"", "nan", "NaN", "None", "null", "NA", "N/A", "<NA>", "NaT"})
# How many values are counted by name, and how many numbers are kept. Beyond that: other values, a random sample.
MOST_VALUES, MOST_NUMBERS = 1000, 20_000
# Columns with few different values are shown by value, others by range.
MOST_CLASSES = 20
BINS, PSI_BINS = 24, 10
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
Kind = Literal["classes", "numbers", "texts", "nothing"]


@dataclass
class ColumnCounts:
    """One column, counted. `numbers` is a random sample of its numbers, all of them while `level` is 0."""

    rows: int = 0
    missing: int = 0
    values: Counter[str] = field(default_factory=Counter)
    others: int = 0
    numeric: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    numbers: list[float] = field(default_factory=list)
    level: int = 0
    most_numbers: int = MOST_NUMBERS
    _ordered: list[float] | None = None
    _random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - a sample is no secret

    def add(self, counts: Mapping[str, int]) -> None:
        """Count values, each with how often it occurs."""
        for text, times in counts.items():
            self.rows += times
            if text in MISSING:
                self.missing += times
                continue
            if text in self.values or len(self.values) < MOST_VALUES:
                self.values[text] += times
            else:
                self.others += times
            number = _number(text)
            if number is not None:
                self._add_number(number, times)

    def _add_number(self, number: float, times: int) -> None:
        self.numeric += times
        self.total += number * times
        self.low, self.high = min(self.low, number), max(self.high, number)
        copies = times
        if self.level:
            share = 0.5**self.level
            copies = int(times * share) + (self._random.random() < times * share % 1)
        self._ordered = None
        self.numbers.extend([number] * min(copies, 2 * self.most_numbers))
        while len(self.numbers) > 2 * self.most_numbers:
            self._random.shuffle(self.numbers)
            del self.numbers[len(self.numbers) // 2 :]
            self.level += 1

    @property
    def ordered(self) -> list[float]:
        """The numbers that are kept, by size."""
        if self._ordered is None:
            self._ordered = sorted(self.numbers)
        return self._ordered

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    @property
    def kind(self) -> Kind:
        """How it is shown."""
        if not self.present:
            return "nothing"
        if not self.others and len(self.values) <= MOST_CLASSES and not self._is_measured:
            return "classes"
        return "numbers" if self.numeric >= 0.99 * self.present else "texts"

    @property
    def _is_measured(self) -> bool:
        """Whether a few rows of numbers with decimals, nearly all different, are measurements rather than classes."""
        return (
            self.numeric == self.present
            and 2 * len(self.values) > self.present > 2
            and any("." in text for text in self.values)
        )

    @property
    def mean(self) -> float:
        """The mean of all numbers, kept or not."""
        return self.total / self.numeric if self.numeric else math.nan

    def quantiles(self, at: Sequence[float] = QUANTILES) -> list[float]:
        """Quantiles of the numbers that are kept."""
        ordered = self.ordered
        return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in at] if ordered else []

    def shares(self, names: Sequence[str]) -> list[float]:
        """Return the shares of these values among the rows that have one."""
        return [self.values.get(name, 0) / self.present if self.present else 0.0 for name in names]

    def histogram(self, low: float, high: float, bins: int = BINS) -> list[float]:
        """Return the shares of the numbers in `bins` ranges from `low` to `high`; numbers outside count nowhere."""
        counts = [0] * bins
        width = (high - low) / bins or 1.0
        for number in self.numbers:
            if low <= number <= high:
                counts[min(bins - 1, int((number - low) / width))] += 1
        return [value / len(self.numbers) if self.numbers else 0.0 for value in counts]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return {"True": 1.0, "False": 0.0}.get(text)
    return number if math.isfinite(number) else None


def span(columns: Sequence[ColumnCounts]) -> tuple[float, float, bool]:
    """Return the range that histograms of these columns cover, and whether far outliers lie outside."""
    low, high = min(column.low for column in columns), max(column.high for column in columns)
    middle = [value for column in columns for value in column.quantiles((0.01, 0.99))]
    inner_low, inner_high = min(middle), max(middle)
    if inner_high > inner_low and high - low > 20 * (inner_high - inner_low):
        margin = (inner_high - inner_low) * 0.1
        return max(low, inner_low - margin), min(high, inner_high + margin), True
    return low, high, False


def classes(columns: Sequence[ColumnCounts]) -> list[str]:
    """Return the values of all columns: numbers by size, other values by frequency."""
    together: Counter[str] = Counter()
    for column in columns:
        together.update(column.values)
    names = [name for name, _ in together.most_common()]
    numbers = {name: number for name in names if (number := _number(name)) is not None}
    return sorted(names, key=numbers.__getitem__) if len(numbers) == len(names) else names


def ks(left: ColumnCounts, right: ColumnCounts) -> float:
    """Return the Kolmogorov-Smirnov statistic: the largest distance of the two cumulative distributions, 0 to 1."""
    shorter, longer = sorted((left.ordered, right.ordered), key=len)
    if not shorter or not longer:
        return math.nan
    # Between two values of one side its distribution is flat: the distance is largest at, or just before, a value.
    return max(
        abs(side(shorter, value) / len(shorter) - side(longer, value) / len(longer))
        for value in {*shorter}
        for side in (bisect_left, bisect_right)
    )


def psi(before: ColumnCounts, now: ColumnCounts) -> float:
    """Return the population stability index of `now` against `before`: by value, or by tenths of `before`.

    An empty range counts as half a row, so that the figure is finite.
    """
    if "numbers" in (before.kind, now.kind) and before.numbers and now.numbers:
        edges = sorted({*before.quantiles([step / PSI_BINS for step in range(1, PSI_BINS)])})
        pairs = list(zip(_binned(before.numbers, edges), _binned(now.numbers, edges), strict=True))
    else:
        names = classes([before, now])
        pairs = [(before.values.get(name, 0), now.values.get(name, 0)) for name in names]
    if not pairs:
        return math.nan
    totals = [sum(side) or 1 for side in zip(*pairs, strict=True)]
    shares = [(max(old, 0.5) / totals[0], max(new, 0.5) / totals[1]) for old, new in pairs]
    return sum((new - old) * math.log(new / old) for old, new in shares)


def _binned(numbers: Sequence[float], edges: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) + 1)
    for number in numbers:
        counts[bisect_left(edges, number)] += 1
    return counts


def distance(left: ColumnCounts, right: ColumnCounts) -> float:
    """KS of numbers, else the largest difference of a value's share; 0 to 1."""
    if "numbers" in (left.kind, right.kind):
        return ks(left, right)
    names = classes([left, right])
    pairs = zip(left.shares(names), right.shares(names), strict=True)
    return max((abs(a - b) for a, b in pairs), default=0.0)


def chance(left: int, right: int, comparisons: int = 1, level: float = 0.05) -> float:
    """The distance that two samples of one distribution exceed with probability `level`, in any of the comparisons."""
    if not left or not right:
        return 1.0
    return math.sqrt(-math.log(level / 2 / max(comparisons, 1)) / 2) * math.sqrt(1 / left + 1 / right)
