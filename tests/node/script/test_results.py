"""Return values of run() -> bytes and counts."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
import pytest

from batchtwin_node.protocol import BadFile
from batchtwin_node.script.results import OutputLines, WrongTypeError, encode

BAD = BadFile(file="/in/a.csv", message="no good")


@pytest.mark.parametrize(
    ("result", "data", "rows"),
    [
        ([], b"", 0),
        (["a", 1, 2.5, None, True], b"a\n1\n2.5\nNone\nTrue\n", 5),
        ((1, 2), b"1\n2\n", 2),
        ([[1, "x"], {"a": 1}], b"[1, 'x']\n{'a': 1}\n", 2),
        (["é", "a,b c"], "é\na,b c\n".encode(), 2),
        ([np.float64(0.5)], b"0.5\n", 1),
        ([OutputLines(b"0,1,a\n1,0,a\n", 2), OutputLines(b"", 0), "b"], b"0,1,a\n1,0,a\nb\n", 3),
        (pd.DataFrame({"a": [1, 2], "b": ["x y", 'q"']}), b'1 "x y"\n2 "q"""\n', 2),
        (pd.DataFrame({"a": [1.5, None], "b": ["x", None]}, index=[7, 7]), b'1.5 x\n"" ""\n'.replace(b'""', b""), 2),
        (pd.DataFrame({"a": []}), b"", 0),
    ],
)
def test_rows(result: object, data: bytes, rows: int) -> None:
    encoded = encode(result, 3, append_row=True)
    assert (encoded.data, encoded.rows, encoded.crc) == (data, rows, zlib.crc32(data))


@pytest.mark.parametrize(("length", "succeeded", "failed"), [(0, 0, 3), (2, 2, 1), (3, 3, 0), (9, 3, 0)])
@pytest.mark.parametrize("append_row", [True, False])
def test_items_are_counted_by_length(length: int, succeeded: int, failed: int, append_row: bool) -> None:
    for result in (["x"] * length, pd.DataFrame({"a": range(length)})):
        encoded = encode(result, 3, append_row)
        assert (encoded.succeeded, encoded.failed) == (succeeded, failed)
        assert (encoded.rows, bool(encoded.data)) == ((length, length > 0) if append_row else (0, False))


@pytest.mark.parametrize("append_row", [True, False])
def test_quarantined_files_are_failed_items(append_row: bool) -> None:
    encoded = encode([OutputLines(b"0,1,a\n", 1), BAD, OutputLines(b"", 0)], 3, append_row)
    assert (encoded.succeeded, encoded.failed, encoded.bad_files) == (2, 1, [BAD])
    assert encoded.data == (b"0,1,a\n" if append_row else b"")


@pytest.mark.parametrize(
    ("result", "name", "advice"),
    [
        (None, "NoneType", "return results"),
        ("text", "str", "return [text]"),
        ((x for x in "ab"), "generator", "instead of yield"),
        (np.array([1]), "ndarray", "list(array)"),
        (pd.Series([1]), "Series", "to_frame()"),
        ({"a": 1}, "dict", "Turn the dict into a list"),
        (7, "int", "Turn the int into a list"),
    ],
)
def test_wrong_types_say_how_to_mend_them(result: object, name: str, advice: str) -> None:
    with pytest.raises(WrongTypeError) as caught:
        encode(result, 1, append_row=True)
    assert str(caught.value).startswith(
        "The run() method in the entry script should return a list or a pandas DataFrame. "
        f"The actual type of output is {name}. "
    )
    assert advice in str(caught.value)
