"""Two prediction files: what is equal, what differs, what cannot be compared."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from batchtwin.errors import BatchTwinError
from batchtwin.predictions.compare import compare
from batchtwin.predictions.comparison import Comparison, Difference
from batchtwin.predictions.file import CompareError, LineLayout
from support import unprivileged

ROWS = "0,0.5,a.csv\n1,1.5,a.csv\n0,2.5,b.csv\n"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Where the two files go."""
    return tmp_path / "left.csv", tmp_path / "right.csv"


def compared(pair: tuple[Path, Path], left: str, right: str, rtol: float = 1e-9, atol: float = 0.0) -> Comparison:
    """Compare two texts."""
    for path, text in zip(pair, (left, right), strict=True):
        path.write_bytes(text.encode())
    return compare(*pair, rtol=rtol, atol=atol)


def counts(result: Comparison) -> tuple[int, int, int, int, int]:
    """Rows left and right, only left, only right, differing."""
    return result.left_rows, result.right_rows, result.only_left, result.only_right, result.differing


@pytest.mark.parametrize(
    ("left", "right", "layout"),
    [
        (ROWS, ROWS, LineLayout.ROWS),
        (ROWS, "0,2.5,b.csv\n1,1.5,a.csv\n0,0.5,a.csv\n", LineLayout.ROWS),
        (ROWS, ROWS.rstrip("\n"), LineLayout.ROWS),
        (ROWS, "0,2.50,b.csv\n1,15e-1,a.csv\n0,+.5,a.csv\n", LineLayout.ROWS),
        ("0,nan,a.csv\n1,inf,a.csv\n", "1,Infinity,a.csv\n0,NaN,a.csv\n", LineLayout.ROWS),
        ('0,"{""p"": [0.1, 2]}",a.csv\n', '0,"{""p"": [0.10000000000000001, 2]}",a.csv\n', LineLayout.ROWS),
        ('0,"cat",a.csv\n', "0,cat,a.csv\n", LineLayout.ROWS),
        ('0,"two\nlines",a.csv\n1,x,a.csv\n', '1,x,a.csv\n0,"two\nlines",a.csv\n', LineLayout.ROWS),
        ('0,x,"a,b.csv"\n1,y,"a,b.csv"\n', '1,y,"a,b.csv"\n0,x,"a,b.csv"\n', LineLayout.ROWS),
        ("0,1.0,a.csv\n0,1.0,a.csv\n", "0,1.0,a.csv\n0,1.00000000000001,a.csv\n", LineLayout.ROWS),
        ("cat,1.PNG\n0.5,2.png\n", "0.50,2.png\ncat,1.PNG\n", LineLayout.IMAGES),
        ('"[0.5, 1]",1.png\n', '"[0.50, 1]",1.png\n', LineLayout.IMAGES),
        ('1 0.5 "a b"\n2 0.25 c\n', '2 0.250 c\n1 0.5 "a b"\n', LineLayout.FRAME),
        ('1 "a\nb"\n2 "a\nc"\n', '2 "a\nc"\n1 "a\nb"\n', LineLayout.FRAME),
        ("-0.0 1\n", "0.0 1\n", LineLayout.FRAME),
        ("[0.1,0.2]\n", "[0.10,0.20]\n", LineLayout.LINES),
        ('say "hi\nthere\n', 'there\nsay "hi\n', LineLayout.LINES),
        ("0.5\n0.5\n0.25\n", "0.25\n0.50\n5e-1\n", LineLayout.LINES),
        ("\n\na\n", "a\n\n\n", LineLayout.LINES),
        ("é\n", "é\n", LineLayout.LINES),
        ("", "", LineLayout.LINES),
    ],
)
def test_equal(pair: tuple[Path, Path], left: str, right: str, layout: LineLayout) -> None:
    result = compared(pair, left, right)
    assert (result.equal, result.exit_code, result.layout, result.differences) == (True, 0, layout, ())
    assert result.text().startswith("Equal")


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (ROWS, ROWS.replace("1.5", "1.6"), (3, 3, 0, 0, 1)),
        (ROWS, ROWS.replace("1.5", "1"), (3, 3, 0, 0, 1)),
        (ROWS, ROWS + "2,0.5,a.csv\n", (3, 4, 0, 1, 0)),
        (ROWS, ROWS + "0,0.5,a.csv\n", (3, 4, 0, 1, 0)),
        (ROWS, ROWS.replace("b.csv", "c.csv"), (3, 3, 1, 1, 0)),
        (ROWS, "", (3, 0, 3, 0, 0)),
        ("0,1,a.csv\n", "0,1.0,a.csv\n", (1, 1, 0, 0, 1)),
        ("0,1000000000000000,a.csv\n", "0,1000000000000001,a.csv\n", (1, 1, 0, 0, 1)),
        ("0,nan,a.csv\n", "0,0.5,a.csv\n", (1, 1, 0, 0, 1)),
        ("0,inf,a.csv\n", "0,1e308,a.csv\n", (1, 1, 0, 0, 1)),
        ("0,1.0,a.csv\n0,2.0,a.csv\n", "0,3.0,a.csv\n", (2, 1, 1, 0, 1)),
        ("0,1.0,a.csv\n" * 3, "0,2.0,a.csv\n" * 2, (3, 2, 1, 0, 2)),
        ('0,"[1, 0.5]",a.csv\n', '0,"[2, 0.5]",a.csv\n', (1, 1, 0, 0, 1)),
        ('0,"a\nb",a.csv\n1,"a\nc",a.csv\n', '1,"a\nb",a.csv\n0,"a\nc",a.csv\n', (2, 2, 0, 0, 2)),
        ("0.5,1.png\n", "0.6,1.png\n", (1, 1, 0, 0, 1)),
        ('1 "a\nb"\n2 "a\nc"\n', '2 "a\nb"\n1 "a\nc"\n', (2, 2, 0, 0, 2)),
        ("0.5 0.25\n0.25 0.5\n", "0.5 0.5\n0.25 0.25\n", (2, 2, 0, 0, 2)),
        ("a\na\nb\n", "a\nb\nb\n", (3, 3, 0, 0, 1)),
        ("v1.2.3\n", "v1.2.30\n", (1, 1, 0, 0, 1)),
        ("Nan x\n", "nan x\n", (1, 1, 0, 0, 1)),
        (ROWS, "just\nwords\n", (3, 2, 3, 2, 0)),
    ],
)
def test_different(pair: tuple[Path, Path], left: str, right: str, expected: tuple[int, ...]) -> None:
    result = compared(pair, left, right)
    assert (counts(result), result.equal, result.exit_code) == (expected, False, 1)
    rows_left, rows_right, only_left, only_right, differing = expected
    swapped = compared(pair, right, left)
    assert counts(swapped) == (rows_right, rows_left, only_right, only_left, differing)


@pytest.mark.parametrize(
    ("left", "right", "rtol", "atol", "equal"),
    [
        ("100.0", "100.1", 0.001, 0, True),
        ("100.0", "100.2", 0.001, 0, False),
        ("-100.0", "-100.1", 0.001, 0, True),
        ("0.0", "1e-300", 1e-9, 0, False),
        ("0.0", "0.125", 0, 0.125, True),
        ("0.0", "0.126", 0, 0.125, False),
        ("-0.0625", "0.0625", 0, 0.125, True),
        ("1.0", "1.0000000009", 1e-9, 0, True),
        ("1.0", "1.0000000011", 1e-9, 0, False),
        ("0.1", "0.1000000000000000055", 0, 0, True),
        ("0.1", "0.10000000000000002", 0, 0, False),
    ],
)
@pytest.mark.parametrize("line", ["0,{},a.csv", "{},a.png", "{}", "x {} y", '{{"a": [{}, 1]}}', "0.5 {}"])
def test_tolerance(
    pair: tuple[Path, Path], line: str, left: str, right: str, rtol: float, atol: float, equal: bool
) -> None:
    assert compared(pair, line.format(left), line.format(right), rtol, atol).equal is equal


def test_rows_that_are_near_each_other_each_get_their_own_partner(pair: tuple[Path, Path]) -> None:
    left = [f"{1 + number / 100} {1 + number % 7 / 100}\n" for number in range(100)]
    right = [f"{1 + number / 100 + 0.001} {1 + number % 7 / 100 - 0.001}\n" for number in range(100)]
    assert compared(pair, "".join(left), "".join(reversed(right)), rtol=0, atol=0.002).equal
    assert counts(compared(pair, "".join(left), "".join(right[1:]), rtol=0, atol=0.002)) == (100, 99, 1, 0, 0)
    assert counts(compared(pair, "".join(left), "".join(right), rtol=0, atol=0.0005)) == (100, 100, 0, 0, 100)


@pytest.mark.parametrize("line", ["1.{noise} 2.{noise} 3.{noise} 4.{noise} 5.{noise} {value}", "{value} 1.{noise}"])
def test_rows_are_paired_by_the_one_float_that_tells_them_apart(pair: tuple[Path, Path], line: str) -> None:
    """The other floats differ by less than the tolerance, so their order says nothing."""
    random.seed(1)
    left, right = (
        [line.format(noise=f"{random.randrange(1000):015}", value=value / 7) for value in range(3000)]  # noqa: S311
        for _ in range(2)
    )
    assert compared(pair, "\n".join(left), "\n".join(reversed(right))).equal


def test_more_near_rows_than_are_remembered_are_still_counted(pair: tuple[Path, Path]) -> None:
    left = "".join(f"{1 + number / 1000}\n" for number in range(1, 400))
    assert counts(compared(pair, left, "1.0\n", rtol=0.5)) == (399, 1, 398, 0, 0)


def test_very_many_rows_of_one_name_are_compared_too(pair: tuple[Path, Path]) -> None:
    left = "".join(f"0,{number / 7!r},a.csv\n" for number in range(200))
    right = "".join(f"0,{number / 7 * (1 + 1e-12)!r},a.csv\n" for number in range(200))
    assert compared(pair, left, right).equal
    result = compared(pair, left, right + "0,1000.5,a.csv\n")
    assert [(found.file, found.row, found.right) for found in result.differences] == [("a.csv", 0, "0,1000.5,a.csv")]


def test_rows_of_one_name_that_do_not_fit_into_memory_are_compared_too(pair: tuple[Path, Path]) -> None:
    left = [f"0,{number / 7!r} {'x' * 20_000},a.csv\n" for number in range(250)]
    right = [f"0,{number / 7 * (1 + 1e-12)!r} {'x' * 20_000},a.csv\n" for number in reversed(range(249))]
    [found] = compared(pair, "".join(left), "".join(right) + "0,1.5,a.csv\n").differences
    assert (found.kind, found.file, found.row, found.right) == ("differs", "a.csv", 0, "0,1.5,a.csv")
    assert (found.left_line, found.right_line, found.left_copies, found.right_copies) == (250, 250, 250, 250)


def test_the_first_differences_are_by_file_and_row(pair: tuple[Path, Path]) -> None:
    rows = [(name, row) for name in ("a.csv", "b.csv") for row in range(12)]
    random.Random(1).shuffle(rows)  # noqa: S311
    left = "".join(f"{row},0,{name}\n" for name, row in rows)
    result = compared(pair, left, left.replace(",0,", ",1,"))
    assert [(found.file, found.row) for found in result.differences] == [("a.csv", row) for row in range(10)]
    assert result.differing == 24
    assert "and 14 more" in result.text()
    for most in (0, 1, 24, 1000):
        assert len(compare(*pair, most=most).differences) == min(most, 24)


def test_a_difference_names_file_row_lines_and_both_sides(pair: tuple[Path, Path]) -> None:
    result = compared(pair, ROWS, "0,2.5,b.csv\n0,0.5,a.csv\n1,1.6,a.csv\n")
    assert result.differences == (
        Difference(
            "differs",
            left="1,1.5,a.csv",
            right="1,1.6,a.csv",
            file="a.csv",
            row=1,
            left_line=2,
            right_line=3,
            left_copies=1,
            right_copies=1,
        ),
    )
    assert result.text().endswith("a.csv row 1, differs\n  left  line 2: 1,1.5,a.csv\n  right line 3: 1,1.6,a.csv")


def lines_of(result: Comparison) -> list[tuple[str | None, int | None, str | None, int | None]]:
    """Both sides of each difference, with the numbers of their lines."""
    return [(found.left, found.left_line, found.right, found.right_line) for found in result.differences]


@pytest.mark.parametrize("line", ["{}", "x.csv {}", '{{"file": "x.csv", "p": "{}"}}'])
def test_rows_without_names_that_are_as_many_are_paired_by_their_place(pair: tuple[Path, Path], line: str) -> None:
    left, right = [line.format(text) for text in "aabcb"], [line.format(text) for text in "abbca"]
    result = compared(pair, "\n".join(left), "\n".join([*right[:4], line.format("b")]))
    assert counts(result) == (5, 5, 0, 0, 1)
    assert lines_of(result) == [(left[1], 2, right[1], 2)]
    assert f"a row differs\n  left  line 2: {left[1]}\n  right line 2: {right[1]}" in result.text()
    assert compared(pair, "\n".join(left), "\n".join(right)).equal, "as many of each, in another order"
    assert lines_of(compare(*pair, in_order=True)) == [(left[1], 2, right[1], 2), (left[4], 5, right[4], 5)]


def test_rows_without_names_that_are_in_another_order_are_paired_too(pair: tuple[Path, Path]) -> None:
    left = [f"row{number} {number}.5" for number in range(50)]
    right = [*reversed(left)]
    right[3] = "row46 7.25"
    result = compared(pair, "\n".join(left), "\n".join(right))
    assert counts(result) == (50, 50, 0, 0, 1)
    assert lines_of(result) == [("row46 46.5", 47, "row46 7.25", 4)]
    assert lines_of(compared(pair, "\n".join(left), "\n".join(right[1:])))[0][2:] == (None, None)


def test_rows_that_are_near_at_their_places_are_the_same_whatever_else_is_near(pair: tuple[Path, Path]) -> None:
    left, right = "[0.0, 0.0]\n[-0.4, 1.4]\n", "[1.0, 0.2]\n[0.5, 0.5]\n"
    assert counts(compared(pair, left, right, rtol=0.0, atol=1.0)) == (2, 2, 0, 0, 0)
    result = compared(pair, left + "a\n", right + "b\n", rtol=0.0, atol=1.0)
    assert lines_of(result) == [("a", 3, "b", 3)]


def test_numbers_past_the_largest_float_are_text(pair: tuple[Path, Path]) -> None:
    assert counts(compared(pair, "1e400 1.0\n", "2e500 1.0\n")) == (1, 1, 0, 0, 1)
    assert compared(pair, "-1e400 1.0\nx\n", "x\n-1e400 1.0").equal


@pytest.mark.parametrize("in_order", [True, False])
def test_files_of_other_lengths_are_compared_in_any_order(pair: tuple[Path, Path], in_order: bool) -> None:
    compared(pair, "a\nb\nc\n", "d\nc\nb\na\n")
    result = compare(*pair, in_order=in_order)
    assert (counts(result), lines_of(result)) == ((3, 4, 0, 1, 0), [(None, None, "d", 1)])


def test_line_numbers_count_lines_not_rows(pair: tuple[Path, Path]) -> None:
    result = compared(pair, '0,"a\nb",a.csv\n1,x,a.csv\n', '0,"a\nb",a.csv\n1,y,a.csv\n')
    assert (result.left_rows, result.differences[0].left_line) == (2, 3)


def test_a_row_that_stands_twice_is_told_so(pair: tuple[Path, Path]) -> None:
    result = compared(pair, ROWS + "1,1.5,a.csv\n", ROWS)
    [found] = result.differences
    assert (found.kind, found.left_copies, found.right_copies) == ("only left", 2, 1)
    assert "a.csv row 1, only left (stands 2 times left, once right)" in result.text()


def test_the_same_line_without_partner_is_listed_once(pair: tuple[Path, Path]) -> None:
    result = compared(pair, "x\n" * 5, "x\n")
    assert [found.times for found in result.differences] == [4]
    assert "only left, 4 times, line 1: x" in result.text()


@pytest.mark.parametrize(
    "line",
    [
        "0,1,2,a.csv",
        "0,1",
        "",
        ",,",
        "x,1,a.csv",
        "01,1,a.csv",
        "-1,1,a.csv",
        '0,"torn,a.csv',
        '0,"a"b,a.csv',
        "9" * 5000,
    ],
)
def test_malformed_rows_are_rows_too(pair: tuple[Path, Path], line: str) -> None:
    result = compared(pair, ROWS + line + "\n", ROWS)
    assert counts(result) == (4, 3, 1, 0, 0)
    [found] = result.differences
    assert (found.left, found.left_line, found.file) == (line, 4, None)
    assert "Left: rows without partner that are not `row,prediction,file_name`: 1." in result.notes
    assert compared(pair, ROWS + line + "\n", line + "\n" + ROWS).equal


def test_a_quote_that_nobody_closes_does_not_swallow_the_file(pair: tuple[Path, Path]) -> None:
    many = "".join(f"{row},1,b.csv\n" for row in range(3000))
    result = compared(pair, f'0,"torn,a.csv\n{many}', many)
    assert counts(result) == (3001, 3000, 1, 0, 0)


@pytest.mark.parametrize(
    ("left", "right", "note"),
    [
        ("row,prediction,file_name\n" + ROWS, ROWS, "Left seems to begin with a header"),
        (ROWS, "id score\n1 0.5\n", "Right seems to begin with a header"),
        (ROWS, ROWS.replace("\n", "\r\n"), "Right has lines that end with CR LF"),
        ("\ufeff" + ROWS, ROWS, "Left begins with a byte order mark"),
        (ROWS, "", "Right is empty"),
        (ROWS, "0.5\n", "Left has lines `row,prediction,file_name` and the other one has not: compared line by line"),
    ],
)
def test_what_explains_many_differences_is_said(pair: tuple[Path, Path], left: str, right: str, note: str) -> None:
    result = compared(pair, left, right)
    assert any(text.startswith(note) for text in result.notes), result.notes
    assert any(text in result.text() for text in result.notes)


def test_the_outcome_is_data_too(pair: tuple[Path, Path]) -> None:
    data = json.loads(json.dumps(compared(pair, ROWS, ROWS.replace("1.5", "1.6")).data()))
    assert (data["equal"], data["differing"], data["layout"]) == (False, 1, "row,prediction,file_name")
    assert data["differences"][0]["file"] == "a.csv"


def test_text_is_harmless_and_short(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(b"\x1b[2J\xff\n" + b"x" * 10_000 + b"\n")
    pair[1].write_bytes(b"")
    text = compare(*pair).text()
    assert "\\x1b[2J\\xff" in text
    assert max(map(len, text.splitlines())) < 300


def test_output_folders_stand_for_their_only_file(tmp_path: Path) -> None:
    for job in ("one", "two"):
        score = tmp_path / job / "named-outputs/score"
        score.mkdir(parents=True)
        (score / f"{job}.csv").write_text(ROWS)
    result = compare(tmp_path / "one", tmp_path / "two/named-outputs/score/two.csv")
    assert result.same_bytes
    assert result.left == tmp_path / "one/named-outputs/score/one.csv"
    (tmp_path / "two/named-outputs/score/more.csv").touch()
    with pytest.raises(CompareError, match=r"holds 2 files \(more.csv, two.csv\); name the file"):
        compare(tmp_path / "one", tmp_path / "two")
    with pytest.raises(CompareError, match="no predictions file in named-outputs/score"):
        compare(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PAR1 and so on", "a Parquet file"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"PK\x03\x04", "a zip file"),
        (bytes(range(256)), "a binary file"),
    ],
)
def test_files_that_are_no_text_are_refused(pair: tuple[Path, Path], data: bytes, why: str) -> None:
    pair[0].write_text(ROWS)
    pair[1].write_bytes(data)
    for left, right in (pair, pair[::-1], (pair[1], pair[1])):
        with pytest.raises(CompareError, match=f"right.csv: looks like {why}"):
            compare(left, right)


def test_zeros_in_the_middle_of_a_file_are_a_difference(pair: tuple[Path, Path]) -> None:
    many = "".join(f"{row},1,b.csv\n" for row in range(10_000))
    assert compared(pair, many, many.replace("7777,1,", "7777,\0,")).differing == 1


def test_what_is_no_file_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(CompareError, match=r"left.csv: No such file.*give a predictions file"):
        compare(*pair)
    pair[0].touch()
    os.mkfifo(pair[1])
    with pytest.raises(CompareError, match=r"right.csv: is no regular file"):
        compare(*pair)
    with unprivileged() as folder:
        (folder / "closed").touch(mode=0)
        with pytest.raises(CompareError, match="closed: Permission denied"):
            compare(folder / "closed", folder / "closed")


@pytest.mark.parametrize(
    ("rtol", "atol", "most"), [(-1, 0, 1), (1, 0, 1), (0, -1, 1), (0, float("inf"), 1), (0, 0, -1)]
)
def test_options_that_make_no_sense_are_refused(pair: tuple[Path, Path], rtol: float, atol: float, most: int) -> None:
    with pytest.raises(BatchTwinError, match="expected a"):
        compare(*pair, rtol=rtol, atol=atol, most=most)
