"""A large file in parts: together they are the file, and each is read as the file's own rows are."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtwin.inputs import parts
from batchtwin.inputs.parts import NotSplittableError, bytes_per_part, split_into_parts, why_not_in_parts

CELL = st.text(st.sampled_from('ab1",\n é'), max_size=6)


def whole(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, index_col=False, dtype=str, na_filter=False)


def in_parts(path: Path, rows: parts.Rows, size: int = parts.LARGEST) -> list[pd.DataFrame]:
    data = path.read_bytes()
    frames, row, end, line = [], 0, None, 2
    for part in split_into_parts(str(path), rows, size):
        assert part.row == row and part.line == line
        assert end in (None, part.start)
        text = data[: part.header] + data[part.start : part.start + part.length]
        frames.append(pd.read_csv(io.BytesIO(text), index_col=False, dtype=str, na_filter=False))
        assert len(frames[-1]) == part.rows
        row, end = row + part.rows, part.start + part.length
        line += data[part.start : end].count(b"\n")
    assert end in (None, len(data))
    return frames


@settings(max_examples=100)
@given(
    st.lists(st.tuples(CELL, CELL), min_size=1, max_size=30),
    st.integers(1, 8),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 64),
    st.booleans(),
)
def test_parts_are_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str]],
    rows: int,
    quoting: int,
    newline: str,
    has_last: bool,
    block: int,
    auto: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "parts.csv"
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator=newline).writerows(table)  # type: ignore[arg-type]
    content = f"first,second{newline}{text.getvalue()}"
    path.write_bytes((content if has_last else content.removesuffix(newline)).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "BLOCK", block)
        try:
            frames = in_parts(path, "auto" if auto else rows, 16)
        except NotSplittableError:
            assert "\n\n" in content or '"' in content
            return
    if frames:
        pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), whole(path))
        assert auto or [len(frame) for frame in frames[:-1]] == [rows] * (len(frames) - 1)


def test_a_file_of_one_part_is_not_split(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n2\n")
    assert split_into_parts(str(path), 2) == ()
    assert len(split_into_parts(str(path), 1)) == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"x\n1\n\n2\n", "blank lines"),
        (b"x\r\n1\r\n\r\n2\r\n", "blank lines"),
        (b"x\n1\r2\n", "carriage returns"),
        (b"x\n1\n2\r", "carriage returns"),
        (b'x\n1\n"2\n3\n', "never closed"),
        (b'"a\nb"\n1\n2\n', "no plain header"),
        (b"\n1\n2\n", "no plain header"),
    ],
)
def test_what_is_doubtful_is_scored_whole(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(NotSplittableError, match=why):
        split_into_parts(str(path), 1)


def test_parquet_goes_by_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": range(10)}).to_parquet(path, row_group_size=3)
    parts = split_into_parts(str(path), 4)
    assert [(part.start, part.length, part.row, part.rows) for part in parts] == [(0, 2, 0, 6), (2, 2, 6, 4)]


@pytest.mark.parametrize(
    ("inputs", "splittable"),
    [
        ('[{"name": "a", "type": "double"}, {"name": "b", "type": "string", "required": false}]', True),
        ('[{"name": "a", "type": "long", "required": false}]', False),
        ('[{"name": "a", "type": "double", "required": false}]', True),
        ('[{"name": "a", "type": "datetime"}]', False),
        ('[{"name": "a", "type": "boolean"}]', False),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]', False),
        ("", False),
    ],
)
def test_which_signatures_allow_it(inputs: str, splittable: bool) -> None:
    assert (why_not_in_parts(inputs) == "") is splittable


def test_auto_gives_every_worker_some_parts() -> None:
    sizes = [bytes_per_part(total << 20, workers) for total, workers in itertools.product((10, 200, 4000), (1, 2, 16))]
    assert [size >> 20 for size in sizes] == [8, 8, 8, 50, 25, 8, 64, 64, 62]
