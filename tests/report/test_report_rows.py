"""How the rows of jobs are read for their report: layouts, samples, bounds."""

from __future__ import annotations

import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.report.predictions import Predictions, Range, read_predictions
from batchtwin.engine.report.write import write_report
from report_page import Page


def read(tmp_path: Path, text: str, *, every_row: bool = True, label: str = "") -> Predictions:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    part = Range(path, 0, path.stat().st_size, label)
    return read_predictions([part], tmp_path, text.count("\n"), every_row=every_row)


def test_rows_with_files(tmp_path: Path) -> None:
    rows = read(tmp_path, "".join(f"{n},{n % 3},{'a' if n < 60 else 'b'}.csv\n" for n in range(90)))
    assert (rows.read, rows.unread, rows.columns["prediction"].values["2"]) == (90, 0, 30)
    assert {name: group.rows for name, group in rows.groups.items()} == {"a.csv": 60, "b.csv": 30}


def test_missing_values_are_counted(tmp_path: Path) -> None:
    rows = read(tmp_path, "0,1.5,a.csv\n1,nan,a.csv\n2,,a.csv\n3,2.5,a.csv\n")
    column = rows.columns["prediction"]
    assert (column.rows, column.missing, column.numeric) == (4, 2, 2)


def test_json_predictions_are_columns(tmp_path: Path) -> None:
    rows = read(tmp_path, "".join(f'{n},"[{n}, 0.5]",a.csv\n' for n in range(30)))
    assert list(rows.columns) == ["prediction[0]", "prediction[1]"] and rows.columns["prediction[0]"].high == 29


def test_json_lines_are_columns(tmp_path: Path) -> None:
    rows = read(tmp_path, "".join(f'{{"class": "{n % 2}", "score": {n}}}\n' for n in range(30)), label="a.json")
    assert list(rows.columns) == ["prediction[class]", "prediction[score]"] and rows.groups["a.json"].rows == 30


def test_frames_and_comma_lines_have_columns_and_files(tmp_path: Path) -> None:
    for separator in " ,":
        rows = read(tmp_path, "".join(separator.join([f"{n}.5", "x", f"in-{n % 2}.txt\n"]) for n in range(80)))
        assert list(rows.columns) == ["column 1", "column 2"] and set(rows.groups) == {"in-0.txt", "in-1.txt"}


def test_fields_have_the_names_of_a_header_which_is_no_row(tmp_path: Path) -> None:
    """Each mini-batch may have written it."""
    lines = ["file,score,class\n", *(f"in-{n}.txt,{n}.5,x\n" for n in range(40))]
    rows = read(tmp_path, "".join([*lines, *lines]))
    assert list(rows.columns) == ["score", "class"] and rows.columns["score"].numeric == 80
    assert rows.unread == 0 and "file" not in rows.groups


@pytest.mark.parametrize("first", ["yes,no\n", "in.txt,yes\n", "a,a,b\n", "a,,b\n", "a b\n"])
def test_what_is_no_header_gives_no_names(tmp_path: Path, first: str) -> None:
    separator = "," if "," in first else " "
    row = separator.join(["in1.txt" if "yes" in first else "1"] + ["x"] * first.count(separator)) + "\n"
    assert all(name.startswith("column ") for name in read(tmp_path, first + row * 30).columns)


@pytest.mark.parametrize(
    ("line", "outputs", "names"),
    [
        ("{n}.5 x", ("score", "class"), ["score", "class"]),
        ("{n}.5 in-{n}.txt x", ("score", "class"), ["score", "class"]),
        ("{n}.5 x y", ("score", "class"), ["column 1", "column 2", "column 3"]),
        ("{n}.5,x", ("score", "class"), ["column 1", "column 2"]),
        ("{n}.5 x", (), ["column 1", "column 2"]),
    ],
)
def test_fields_of_a_frame_have_the_names_of_the_signature(
    tmp_path: Path, line: str, outputs: tuple[str, ...], names: list[str]
) -> None:
    path = tmp_path / "p"
    path.write_text("".join(line.format(n=n) + "\n" for n in range(40)))
    part = Range(path, 0, path.stat().st_size, "")
    assert list(read_predictions([part], tmp_path, 40, every_row=True, outputs=outputs).columns) == names


def test_quoted_fields_hold_line_ends(tmp_path: Path) -> None:
    rows = read(tmp_path, "".join(f'{n},"two\nlines",a.csv\n' for n in range(30)))
    assert rows.columns["prediction"].values == {"two\nlines": 30}


def test_nul_bytes_and_broken_utf8_are_survived(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"".join(b"%d,\xff\0,a.csv\n" % n for n in range(20)))
    rows = read_predictions([Range(tmp_path / "p", 0, 10_000)], tmp_path, 20, every_row=True)
    assert rows.read == 20


def test_a_sample_is_spread_and_says_so(tmp_path: Path) -> None:
    text = "".join(f"{n},{n // 100_000},{n // 100_000}.csv\n" for n in range(400_000))
    rows = read(tmp_path, text, every_row=False)
    assert rows.is_sample and 10_000 < rows.read < 100_000
    assert set(rows.groups) == {"0.csv", "1.csv", "2.csv", "3.csv"}
    shares = rows.columns["prediction"].shares(["0", "1", "2", "3"])
    assert all(0.22 < share < 0.28 for share in shares)


@pytest.mark.parametrize("width", [10, 5_000, 30_000])
def test_a_sample_has_whole_rows_each_once(tmp_path: Path, width: int) -> None:
    rows = 4_000_000 // width
    text = "".join(f"{number:07}{'x' * width}\n" for number in range(rows))
    sample = read(tmp_path, text, every_row=False)
    [column] = sample.columns.values()
    assert sample.is_sample and column.rows == sample.read > 10
    assert len(column.values) + column.others == sample.read, "none twice"
    assert all(len(value) == min(width + 7, 10_000) for value in column.values)


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"0,1,a.csv\n" + b"x" * (64 << 20))
    tracemalloc.start()
    read_predictions([Range(tmp_path / "p", 0, 65 << 20)], tmp_path, 2, every_row=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20


def test_unlimited_different_values_are_bounded(tmp_path: Path) -> None:
    rows = read(tmp_path, "".join(f"{n},{n}.25,{n}.csv\n" for n in range(60_000)))
    column = rows.columns["prediction"]
    assert len(column.values) == 1000 and column.others == 59_000 and len(column.numbers) <= 40_000
    assert len(rows.groups) == 200 and rows.more_groups
    assert column.quantiles([0.5])[0] == pytest.approx(30_000, rel=0.02)


def test_100_000_mini_batches_fit_in_400_kb(large: OutputFolder) -> None:
    with closing(Ledger.open(large.ledger)) as ledger:
        tracemalloc.start()
        write_report(large, ledger)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    page = Page.read(large.root)
    assert large.report.stat().st_size < 400_000 and peak < 40 << 20
    assert "Each lane is drawn in 120 stretches" in page.words
    assert "The first 40 workers have a lane; 20 more are not drawn." in page.words
    assert "98,000 succeeded of 100,000" in page.words and page.headings[0].endswith("Interrupted")
