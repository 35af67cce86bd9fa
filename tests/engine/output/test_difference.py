"""Where `verify` says that predictions first differ."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from batchtwin.engine.output.difference import first_difference
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.protocol import Outcome

FILES = ["a.csv", "b.csv", "c.csv"]
# Three mini-batches of one file each, with four rows.
LINES = [[f"{row},{row % 2},{name}\n" for row in range(4)] for name in FILES]


def outcome(number: int, lines: list[str], *, is_driver: bool) -> Outcome:
    data = "".join(lines).encode()
    rows = len(lines)
    counted = ((rows, rows),) if is_driver else None
    return Outcome(number, 1, "w", "s", 0, len(data), zlib.crc32(data), rows, 1, 0, 1, 0.0, 0.0, 0.0, (), counted)


def said(tmp_path: Path, text: str, lines: list[list[str]] = LINES, *, is_driver: bool = True) -> str:
    """What is said of predictions that were `lines`, and are `text` now."""
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    outcomes = [outcome(number, part, is_driver=is_driver) for number, part in enumerate(lines)]
    batches = [MiniBatch(number, (InputFile(f"/in/{name}", 1, 1),)) for number, name in enumerate(FILES)]
    size = sum(outcome.length for outcome in outcomes)
    sentence = first_difference(path, tmp_path, outcomes, batches, size)
    assert sentence.startswith(f"{path}: first difference at ")
    return sentence.removeprefix(f"{path}: first difference at ")


WHOLE = "".join(line for part in LINES for line in part)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("2,0,b.csv\n", "2,1,b.csv\n", "row 2 of b.csv (line 7): bytes 40 to 80 (mini batch 1, b.csv) are not"),
        ("2,0,b.csv\n", "", "row 2 of b.csv (line 7)"),
        ("2,0,b.csv\n", "2,0,b.csv\n2,0,b.csv\n", "row 3 of b.csv (line 8)"),
        ("2,0,b.csv\n", "2,b.csv\n", "row 2 of b.csv (line 7)"),
        ("2,0,b.csv\n", "torn", "row 2 of b.csv (line 7)"),
        ("2,0,b.csv\n", "2,0,b.CSV\n", "row 2 of b.csv (line 7)"),
        ("2,0,b.csv\n", "2,7.25,b.csv\n", "row 2 of b.csv (line 7)"),
        ("0,0,a.csv\n", "", "row 0 of a.csv (line 1)"),
        ("3,1,c.csv\n", "", "row 3 of c.csv (line 12)"),
        ("3,1,c.csv\n", "3,1,c.csv\n4,1,c.csv\n", "row 13 of predictions.csv: what follows was not written by the job"),
    ],
)
def test_a_changed_line_of_the_driver(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert WHOLE.count(old) == 1
    assert said(tmp_path, WHOLE.replace(old, new)).startswith(place)


def test_a_value_that_stands_nowhere_else_is_among_the_rows_of_its_mini_batch(tmp_path: Path) -> None:
    lines = [[f"{row},0.{row}{number},{name}\n" for row in range(4)] for number, name in enumerate(FILES)]
    text = "".join(line for part in lines for line in part)
    place = said(tmp_path, text.replace("0.21", "0.99"), lines)
    assert place.startswith("row 0 of b.csv, or up to 3 rows after it (line 5): bytes 52 to 104")


def test_images_have_one_row_each(tmp_path: Path) -> None:
    lines = [[f"{number},{name}\n"] for number, name in enumerate(FILES)]
    text = "".join(line for part in lines for line in part)
    assert said(tmp_path, text.replace("1,b", "7,b"), lines).startswith("row 0 of b.csv (line 2)")


def test_lines_of_a_script_are_counted_in_the_predictions(tmp_path: Path) -> None:
    place = said(tmp_path, WHOLE.replace("2,0,b.csv", "2,7,b.csv"), is_driver=False)
    assert place.startswith("row 5 of predictions.csv, or up to 3 rows after it: bytes 40 to 80 (mini batch 1, b.csv)")


def test_quoted_line_ends(tmp_path: Path) -> None:
    lines = [['0,"x\ny",a.csv\n', "1,z,a.csv\n"], ["0,1,b.csv\n"], ["0,1,c.csv\n"]]
    text = "".join(line for part in lines for line in part)
    assert said(tmp_path, text.replace("1,z", "1,Z"), lines).startswith("row 0 of a.csv, or up to 1 rows after it")
    assert said(tmp_path, text.replace("0,1,b", "0,2,b"), lines).startswith("row 0 of b.csv (line 4)")


@pytest.mark.parametrize("text", ["", WHOLE[:45], "\n" * len(WHOLE), "\0" * len(WHOLE), WHOLE * 2])
def test_any_file_is_placed(tmp_path: Path, text: str) -> None:
    assert said(tmp_path, text)
