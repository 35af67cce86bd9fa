"""What holds for any two prediction files."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from batchtwin.predictions.compare import compare
from batchtwin.predictions.comparison import Comparison
from batchtwin_node.writers.csv_field import csv_field

FLOATS = st.floats(allow_nan=True, allow_infinity=True).map(repr)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
PREDICTIONS = st.one_of(FLOATS, st.integers().map(str), WORDS, st.lists(st.floats(), max_size=5).map(str))
NAMES = st.sampled_from(["a.csv", "b.csv", "a,b.csv", 'q".csv', "é.parquet"])
ROWS = st.tuples(st.integers(0, 20), PREDICTIONS, NAMES).map(
    lambda row: f"{row[0]},{csv_field(row[1])},{csv_field(row[2])}"
)
IMAGES = st.tuples(PREDICTIONS, st.integers(0, 9)).map(lambda row: f"{csv_field(row[0])},{row[1]}.png")
FRAMES = st.lists(st.one_of(FLOATS, st.integers().map(str)), min_size=3, max_size=3).map(" ".join)
LINES = st.one_of(FLOATS, WORDS.map(lambda text: text.replace("\n", " ")), st.just('"'), st.just("x y"))
FILES = st.one_of(*(st.lists(row, max_size=30) for row in (ROWS, IMAGES, FRAMES, LINES)))
quick = settings(deadline=None, max_examples=100)


def compared(left: list[str], right: list[str], rtol: float = 1e-9) -> Comparison:
    """Compare two lists of records."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "left"), Path(folder, "right")
        for path, records in zip(paths, (left, right), strict=True):
            path.write_bytes("".join(f"{record}\n" for record in records).encode())
        return compare(*paths, rtol=rtol, most=100)


def counts(result: Comparison) -> tuple[int, int, int, int, int]:
    """Rows left and right, only left, only right, differing."""
    return result.left_rows, result.right_rows, result.only_left, result.only_right, result.differing


@quick
@given(FILES, st.randoms(use_true_random=False))
def test_any_permutation_is_equal(records: list[str], shuffling: random.Random) -> None:
    mixed = shuffling.sample(records, len(records))
    assert compared(records, mixed).equal


@quick
@given(FILES, FILES)
def test_counts_are_symmetric_and_add_up(left: list[str], right: list[str]) -> None:
    result = compared(left, right)
    rows_left, rows_right, only_left, only_right, differing = counts(result)
    assert counts(compared(right, left)) == (rows_right, rows_left, only_right, only_left, differing)
    assert rows_left - only_left == rows_right - only_right >= differing
    assert sum(found.times for found in result.differences) == only_left + only_right + differing


@quick
@given(FILES, FILES, st.randoms(use_true_random=False))
def test_the_outcome_does_not_depend_on_order(left: list[str], right: list[str], shuffling: random.Random) -> None:
    result = compared(left, right)
    mixed = compared(shuffling.sample(left, len(left)), shuffling.sample(right, len(right)))
    if mixed.layout == result.layout:
        assert counts(mixed) == counts(result)


@quick
@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=60), st.data())
def test_any_single_change_is_found_and_named(values: list[float], data: st.DataObject) -> None:
    rows = [f"{at % 20},{value!r},part-{at // 20}.csv" for at, value in enumerate(values)]
    at = data.draw(st.integers(0, len(rows) - 1))
    changed = [*rows]
    changed[at] = f"{at % 20},{values[at] * 1.001!r},part-{at // 20}.csv"
    result = compared(rows, changed[::-1])
    assert counts(result) == (len(rows), len(rows), 0, 0, 1)
    [found] = result.differences
    assert (found.file, found.row) == (f"part-{at // 20}.csv", at % 20)
    assert (found.left, found.right) == (rows[at], changed[at])
    assert (found.left_line, found.right_line) == (at + 1, len(rows) - at)


@quick
@given(FILES.filter(len), st.data())
def test_any_missing_or_doubled_row_is_found(records: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(records) - 1))
    fewer, more = records[:at] + records[at + 1 :], [*records, records[at]]
    for other in (fewer, more):
        result = compared(records, other)
        assert not result.equal
        assert abs(result.only_left - result.only_right) == 1


@quick
@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), max_size=60), st.data())
def test_noise_below_the_tolerance_is_equal_in_any_order(
    values: list[tuple[float, float]], data: st.DataObject
) -> None:
    noise = st.floats(-1e-13, 1e-13)
    left = [f"{one!r} {two!r}" for one, two in values]
    right = [f"{one * (1 + data.draw(noise))!r} {two * (1 + data.draw(noise))!r}" for one, two in values]
    assert compared(left, right[::-1]).equal


NEAR = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25)


@quick
@given(NEAR, NEAR, st.sampled_from(["0,{},a.csv", "{} {}", "{}"]), st.randoms(use_true_random=False))
def test_which_near_rows_are_paired_depends_neither_on_order_nor_on_side(
    left: list[tuple[int, int]],
    right: list[tuple[int, int]],
    line: str,
    shuffling: random.Random,
) -> None:
    """The tolerance is one and a half steps: a row is close to several, which are not close to each other."""
    one, other = ([line.format(1 + at / 1000, 1 + to / 1000) for at, to in side] for side in (left, right))
    result = compared(one, other, rtol=0.0015)
    mixed = compared(shuffling.sample(other, len(other)), shuffling.sample(one, len(one)), rtol=0.0015)
    rows_left, rows_right, only_left, only_right, differing = counts(mixed)
    assert counts(result) == (rows_right, rows_left, only_right, only_left, differing)
