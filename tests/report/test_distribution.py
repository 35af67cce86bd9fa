"""Distributions and their distances: against plain definitions, and at their edges."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtwin.engine.report.distribution import ColumnCounts, chance, distance, ks, psi, span
from batchtwin.engine.report.text import figure, parse_time, seconds, show, size

numbers = st.lists(st.integers(-20, 20).map(lambda number: number / 4), min_size=1, max_size=40)


def column(values: list[float] | list[str]) -> ColumnCounts:
    made = ColumnCounts()
    made.add(Counter(map(str, values)))
    return made


@given(numbers, numbers)
def test_ks_is_the_largest_distance_of_the_cumulative_distributions(left: list[float], right: list[float]) -> None:
    def cumulative(values: list[float], at: float) -> float:
        return sum(value <= at for value in values) / len(values)

    expected = max(abs(cumulative(left, at) - cumulative(right, at)) for at in {*left, *right})
    assert ks(column(left), column(right)) == pytest.approx(expected)


def test_psi_of_classes_by_hand() -> None:
    before, now = column(["a"] * 50 + ["b"] * 50), column(["a"] * 80 + ["b"] * 20)
    expected = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert psi(before, now) == pytest.approx(expected)


def test_psi_of_a_class_that_is_new_is_finite() -> None:
    assert math.isfinite(psi(column(["a"] * 10), column(["b"] * 10)))


def test_same_distributions_are_within_chance() -> None:
    random = Random(7)  # noqa: S311 - no secret
    left, right = (column([random.gauss(0, 1) for _ in range(2000)]) for _ in range(2))
    assert ks(left, right) < chance(2000, 2000) and psi(left, right) < 0.02


def test_a_shift_is_seen() -> None:
    random = Random(7)  # noqa: S311 - no secret
    left = column([random.gauss(0, 1) for _ in range(2000)])
    right = column([random.gauss(0.5, 1) for _ in range(2000)])
    assert ks(left, right) > chance(2000, 2000) and psi(left, right) > 0.1


def test_classes_differ_by_their_largest_share() -> None:
    assert distance(column(["1"] * 3 + ["0"]), column(["1"] * 2 + ["0"] * 2)) == pytest.approx(0.25)


def test_kinds() -> None:
    assert column(["0", "1"] * 20).kind == "classes"
    assert column([n / 7 for n in range(100)]).kind == "numbers"
    assert column([f"text {n}" for n in range(100)]).kind == "texts"
    assert column(["nan", ""]).kind == "nothing"
    assert column(["inf", "1.5", "2.5"]).numeric == 2, "infinity is in no histogram"


def test_far_outliers_do_not_flatten_the_histogram() -> None:
    _, high, is_cut = span([column([*(n / 100 for n in range(1000)), 1e9])])
    assert is_cut and high < 20


def test_a_constant_has_a_histogram() -> None:
    constant = column([2.5] * 10)
    assert span([constant])[:2] == (2.5, 2.5) and sum(constant.histogram(2.5, 2.5)) == 1


def test_texts_are_made_harmless() -> None:
    assert show("a\nb\x1b[31m\u202e\ud800\u2066") == r"a\nb\x1b[31m\u202e\ud800\u2066"
    assert show("Käse ملف 文件") == "Käse ملف 文件"
    long = show("x" * 10_000)
    assert len(long) < 230 and long.endswith("(10,000 characters)")


def test_figures() -> None:
    assert [figure(value) for value in (0, 0.5, 1234.5678, 1e-9, 3.14159, math.nan)] == [
        "0",
        "0.5",
        "1,235",
        "1.000e-09",
        "3.142",
        "nan",
    ]
    assert [seconds(value) for value in (0, 0.0004, 0.42, 7.123, 59.96, 125, 7500)] == [
        "0 ms",
        "< 1 ms",
        "420 ms",
        "7.12 s",
        "60.0 s",
        "2 min 05 s",
        "2 h 05 min",
    ]
    assert [size(value) for value in (12, 1500, 99_990, 2_500_000)] == ["12 B", "1.5 kB", "100 kB", "2.5 MB"]


def test_times_with_and_without_offset_are_utc() -> None:
    assert parse_time("2026-01-01T00:00:00.000000") == parse_time("2026-01-01T00:00:00.000+00:00") == 1767225600
    assert parse_time("N/A") is None
