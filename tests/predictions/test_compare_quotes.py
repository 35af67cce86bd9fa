"""Quoted fields: which lines make a record."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtwin.predictions.compare import compare
from batchtwin.predictions.file import LineLayout

ROWS = "".join(f"{row},1,b.csv\n" for row in range(50))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\nc", ["a,b", "c"]),
        ('"a\nb",c\nd', ['"a\nb",c', "d"]),
        ('"a"\n"b"', ["a", "b"]),
        ('"a""\n""",b', ['"a""\n""",b']),
        ('a,"\n","\n",b', ['a,"\n","\n",b']),
        ('"a\nb', ['"a', "b"]),
        ('"a\n"b"\nc', ['"a', "b", "c"]),
        ('a"b\nc"d', ['a"b', 'c"d']),
        ('"', ['"']),
        ('""', [""]),
    ],
)
def test_records(tmp_path: Path, text: str, expected: list[str]) -> None:
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    left.write_text(ROWS + text)
    right.write_text(ROWS)
    result = compare(left, right)
    assert result.layout == LineLayout.ROWS
    assert [found.left for found in result.differences] == sorted(expected)
    assert result.left_rows == 50 + len(expected)


def test_records_separated_by_spaces_keep_their_quotes(tmp_path: Path) -> None:
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    left.write_text('"a" "b\nc"\n"d" e\n')
    right.write_text("d e\n")
    result = compare(left, right)
    assert result.layout == LineLayout.FRAME
    assert [found.left for found in result.differences if found.left] == ['"a" "b\nc"', '"d" e']


def test_a_record_may_cross_what_is_read_at_once(tmp_path: Path) -> None:
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    lines = [f'{row},"{row}\n{"x" * 1000}\n{"y" * 500}",b.csv\n' for row in range(6000)]
    left.write_text("".join(lines))
    right.write_text("".join(reversed(lines)))
    result = compare(left, right)
    assert (result.equal, result.left_rows, result.right_rows) == (True, 6000, 6000)


QUOTINGS: tuple[Literal[0, 1], ...] = (csv.QUOTE_ALL, csv.QUOTE_MINIMAL)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=10))
def test_what_csv_writes_is_read_again_however_it_is_quoted(predictions: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "left.csv"), Path(folder, "right.csv")
        for path, quoting in zip(paths, QUOTINGS, strict=True):
            with path.open("w", newline="", encoding="utf-8") as file:
                rows = [(row, prediction, "a,b.csv") for row, prediction in enumerate(predictions)]
                csv.writer(file, lineterminator="\n", quoting=quoting).writerows(rows)
        result = compare(*paths)
        assert (result.equal, result.layout, result.left_rows) == (True, LineLayout.ROWS, len(predictions))
