"""`batchtwin compare`."""

from __future__ import annotations

from pathlib import Path

from support import batchtwin

ROWS = "0,0.5,a.csv\n1,1.5,a.csv\n0,2.5,b.csv\n"


def test_exit_codes_and_words(tmp_path: Path) -> None:
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    left.write_text(ROWS)
    right.write_text("".join(reversed(ROWS.splitlines(keepends=True))))
    equal = batchtwin("compare", left, right)
    assert (equal.code, equal.err) == (0, "")
    assert equal.out.startswith("Equal: 3 rows, by file and row")

    right.write_text(ROWS.replace("1.5", "1.6").replace("2.5", "2.6"))
    different = batchtwin("compare", left, right, "--most", "1")
    assert (different.code, different.err) == (1, "")
    assert "a.csv row 1, differs" in different.out
    assert "and 1 more" in different.out
    assert batchtwin("compare", left, right, "--rtol", "0", "--atol", "0.2").code == 0

    right.unlink()
    refused = batchtwin("compare", left, right)
    assert (refused.code, refused.out) == (2, "")
    assert "right.csv: No such file" in refused.err
    assert batchtwin("compare", left, left, "--rtol", "2").code == 2
