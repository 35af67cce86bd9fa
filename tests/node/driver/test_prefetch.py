"""A table that was read ahead is the table that the worker would have read, or it is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtwin_node import bootstrap
from batchtwin_node.codec import to_json
from batchtwin_node.driver import prefetch as ahead
from batchtwin_node.protocol import PrefetchRequest
from batchtwin_node.readers import csv_file
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.readers.signature import Column, Signature

INPUTS = (
    '[{"type": "long", "name": "n", "required": true}, {"type": "double", "name": "x", "required": true},'
    ' {"type": "string", "name": "s", "required": true}, {"type": "long", "name": "o", "required": false}]'
)
COLUMNS = (Column("n", "long"), Column("x", "double"), Column("s", "string"), Column("o", "long", required=False))
SIGNATURE = Signature(COLUMNS)
FLOATS = st.sampled_from(["0", "-0.0", "2.5", "1e-310", "inf", "-inf", "nan", "", "1e300"])
TEXTS = st.sampled_from(["a", "", "NA", "ü", '"a,b"', '"two\nlines"'])
ROWS = st.tuples(st.integers(-(2**63), 2**63 - 1), FLOATS, TEXTS).map(lambda row: f"{row[0]},{row[1]},{row[2]},9\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tables are kept."""
    folder = tmp_path / "ahead"
    folder.mkdir()
    monkeypatch.setenv(ahead.FOLDER, str(folder))
    return folder


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@given(rows=st.lists(ROWS, max_size=5), optional=st.booleans())
def test_the_table_is_the_same(rows: list[str], optional: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ahead")
    path = written(folder / "a.csv", f"n,x,s,{'o' if optional else 'z'}\n" + "".join(rows))
    ahead.store_table(str(folder), path, SIGNATURE)
    with pytest.MonkeyPatch.context() as context:
        context.setenv(ahead.FOLDER, str(folder))
        table = ahead.load(path)
    assert table is not None
    read = csv_file.read(path, SIGNATURE)
    pd.testing.assert_frame_equal(table, read)
    table.loc[:, "x"] = 1.5  # as a model may do
    table.loc[:, "n"] = 2
    pd.testing.assert_frame_equal(csv_file.read(path, SIGNATURE), read)


def test_a_table_is_taken_once(folder: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "n,x,s\n1,2,a\n")
    ahead.store_table(str(folder), path, SIGNATURE)
    assert ahead.load(path) is not None
    assert ahead.load(path) is None
    assert not list(folder.iterdir())


def test_a_file_that_has_changed_is_read_again(folder: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "n,x,s\n1,2,a\n")
    ahead.store_table(str(folder), path, SIGNATURE)
    os.utime(path, (1, 1))
    assert ahead.load(path) is None


def test_nothing_is_looked_for_where_nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ahead.FOLDER, raising=False)
    assert ahead.load(written(tmp_path / "a.csv", "n,x,s\n1,2,a\n")) is None


def test_a_table_that_cannot_be_written_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "n,x,s\n" + "1,2,a\n" * 1000)
    code = (
        "import resource, signal, sys\n"
        "from batchtwin_node.driver import prefetch as ahead; from batchtwin_node.readers.signature import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"ahead.store_table(sys.argv[1], sys.argv[2], Signature.of_json({INPUTS!r}, ahead.TYPES))"
    )
    done = subprocess.run([sys.executable, "-c", code, folder, path], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert not list(folder.iterdir())


def test_a_bad_file_is_left_to_the_worker(folder: Path, tmp_path: Path) -> None:
    texts = {"a": "n,x,s\n1,2,a\n", "b": "n,x,s\n1,not a number,a\n", "c": "n,x\n1,2\n", "d": "n,x,s\n4,5,d\n"}
    paths = {name: written(tmp_path / f"{name}.csv", text) for name, text in texts.items()}
    request = PrefetchRequest(folder=str(folder), inputs=INPUTS, files=tuple(paths.values()))
    words = bootstrap.command("driver.prefetch", os.getpid())
    subprocess.run(words, input=to_json(request).encode(), check=True)
    assert {name: ahead.load(path) is not None for name, path in paths.items()} == {
        "a": True,
        "b": False,
        "c": False,
        "d": True,
    }
    with pytest.raises(BadFileError, match="not a number"):
        csv_file.read(paths["b"], SIGNATURE)


@pytest.mark.parametrize(
    ("inputs", "columns"),
    [
        (INPUTS, COLUMNS),
        ('[{"type": "boolean", "name": "b", "required": true}]', None),  # not as it went in
        ('[{"type": "long", "required": true}]', None),  # by position
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]', None),
        ('[{"type": {"type": "array"}, "name": "a"}]', None),
        ("[]", None),
        ("{}", None),
        ("[1]", None),
        ("", None),
        ("not JSON", None),
    ],
)
def test_only_named_columns_of_plain_types_are_read_ahead(inputs: str, columns: tuple[Column, ...] | None) -> None:
    signature = Signature.of_json(inputs, ahead.TYPES)
    assert (signature.columns if signature else None) == columns
