"""Predictions files as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from batchtwin.api.html import distribution
from batchtwin.predictions.table import read_table, typed_column


@pytest.mark.parametrize(
    ("texts", "values", "kind"),
    [
        (["1", "-2", "0"], [1, -2, 0], "int64"),
        (["1", "nan"], [1, pd.NA], "Int64"),
        ([str(2**70), "1"], [2**70, 1], "object"),
        (["0.5", "1e-05", "inf", "1"], [0.5, 1e-05, float("inf"), 1.0], "float64"),
        (["True", "False"], [True, False], "bool"),
        (["True", "nan"], [True, pd.NA], "boolean"),
        (["[1, null]", '{"a": "é"}'], [[1, None], {"a": "é"}], "object"),
        (["[1]", "[oops"], ["[1]", "[oops"], None),
        (["007", "8"], ["007", "8"], None),
        (["1.10", "2.0"], ["1.10", "2.0"], None),
        (["yes", "1"], ["yes", "1"], None),
        (["", "1"], ["", "1"], None),
        (["True", "true"], ["True", "true"], None),
        (["1_000"], ["1_000"], None),
        (["\u0661"], ["\u0661"], None),
        (["-0"], ["-0"], None),
    ],
)
def test_a_column_gets_its_type_back(texts: list[str], values: list[Any], kind: str | None) -> None:
    column = typed_column(texts, is_exact=True)
    assert column.dtype == kind or kind is None
    assert [str(value) for value in column] == [str(value) for value in values]


def test_numbers_that_a_script_formatted_are_numbers() -> None:
    assert typed_column(["0.90", "1.00", "2E3"]).tolist() == [0.9, 1.0, 2000.0]
    assert typed_column(["007", "1.5"]).tolist() == ["007", "1.5"]


def test_missing_alone_is_a_number() -> None:
    assert typed_column(["nan", "nan"]).dtype == float
    assert len(typed_column([])) == 0


def read(tmp_path: Path, text: str, **options: bool) -> pd.DataFrame:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    return read_table(path, **options)


def test_quotes_and_line_ends_in_fields(tmp_path: Path) -> None:
    table = read(tmp_path, '0,"a ""b"",\nc","x,y.csv"\n1,d,z.csv\n', is_driver=True)
    assert table["prediction"].tolist() == ['a "b",\nc', "d"]
    assert table["file_name"].tolist() == ["x,y.csv", "z.csv"]


def test_images_have_no_row(tmp_path: Path) -> None:
    table = read(tmp_path, '"[0.1, 0.9]",a.png\n"[1.0, 0.0]",b.png\n', is_driver=True)
    assert list(table.columns) == ["prediction", "file_name"]
    assert table["prediction"].tolist() == [[0.1, 0.9], [1.0, 0.0]]


def test_images_beside_tables(tmp_path: Path) -> None:
    table = read(tmp_path, "0,1,a.csv\n2,b.png\n", is_driver=True)
    assert table["row"].isna().tolist() == [False, True]
    assert table["prediction"].tolist() == [1, 2]


def test_names_of_files_and_texts_stay_texts(tmp_path: Path) -> None:
    table = read(tmp_path, "0,1,7\n1,2,7\n", is_driver=True, is_text=True)
    assert table["file_name"].tolist() == ["7", "7"]
    assert table["prediction"].tolist() == ["1", "2"]


def test_a_file_without_rows(tmp_path: Path) -> None:
    assert list(read(tmp_path, "", is_driver=True).columns) == ["row", "prediction", "file_name"]
    assert len(read(tmp_path, "")) == 0


def test_a_scripts_frame_has_numbered_columns(tmp_path: Path) -> None:
    table = read(tmp_path, 'a.csv 1 0.5\n"b c.csv" 2 1.50\n')
    assert table.to_dict("list") == {0: ["a.csv", "b c.csv"], 1: [1, 2], 2: [0.5, 1.5]}


def test_a_scripts_lines_are_one_column(tmp_path: Path) -> None:
    assert read(tmp_path, "0.10\n0.25\n")["prediction"].tolist() == [0.1, 0.25]
    assert read(tmp_path, "one\ntwo words\n")["prediction"].tolist() == ["one", "two words"]


def test_a_scripts_rows_that_look_like_the_drivers_are_named(tmp_path: Path) -> None:
    table = read(tmp_path, "0,0.50,a.csv\n1,0.75,a.csv\n")
    assert table["row"].tolist() == [0, 1]
    assert table["prediction"].tolist() == [0.5, 0.75]


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([1, 0, 1], [("0", 1), ("1", 2)]),
        (["a", None, "a"], [("a", 2), ("missing", 1)]),
        ([float("nan")], [("missing", 1)]),
        ([], []),
    ],
)
def test_distribution_of_classes(values: list[Any], bars: list[tuple[str, int]]) -> None:
    assert distribution(values) == bars


def test_distribution_of_numbers_and_of_many_texts() -> None:
    bars = distribution([number / 100 for number in range(100)])
    assert (len(bars), sum(count for _, count in bars)) == (20, 100)
    assert sum(count for _, count in distribution([-1.7e308, 1.7e308, *range(20)])) == 22
    bars = distribution([str(number) for number in range(20)])
    assert bars[-1] == ("8 others", 8)
