"""Predictions of every shape -> output lines; read back, they are what they were."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import warnings
from collections import UserList, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from scipy import sparse  # type: ignore[import-untyped]

from batchtwin_node.readers.arrow import has_arrow
from batchtwin_node.writers import plain_text
from batchtwin_node.writers import predictions as module
from batchtwin_node.writers.arrow_text import scalar_texts
from batchtwin_node.writers.json_text import json_text
from batchtwin_node.writers.predictions import image_lines, tabular_lines


def fields(predictions: object, name: str = "a.csv") -> list[str]:
    """The prediction fields, as a CSV reader sees them."""
    lines = tabular_lines(predictions, name)
    rows = list(csv.reader(io.StringIO(lines.data.decode(), newline="")))
    assert len(rows) == lines.rows
    assert [row[0] for row in rows] == [str(at) for at in range(len(rows))]
    assert {row[2] for row in rows} <= {name}
    assert all(len(row) == 3 for row in rows)
    return [row[1] for row in rows]


class Opaque:
    """An array from another library."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray[Any, Any]:
        return np.array([1, 2])


class Tensor:
    """As torch's: numpy gets its numbers only once it is detached, and on the CPU."""

    def __init__(self, values: Any, steps: tuple[str, ...] = ()) -> None:
        self._values = np.asarray(values)
        self._steps = steps

    def detach(self) -> Tensor:
        return Tensor(self._values, (*self._steps, "detach"))

    def cpu(self) -> Tensor:
        return Tensor(self._values, (*self._steps, "cpu"))

    def numpy(self) -> np.ndarray[Any, Any]:
        if self._steps != ("detach", "cpu"):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self._values

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray[Any, Any]:
        return self.numpy()


class HalfTensor(Tensor):
    """Of numbers that numpy has no type for."""

    def detach(self) -> HalfTensor:
        return self

    def cpu(self) -> HalfTensor:
        return self

    def numpy(self) -> np.ndarray[Any, Any]:
        raise TypeError("Got unsupported ScalarType BFloat16")

    def float(self) -> Tensor:
        return Tensor(np.float32(self._values)).detach().cpu()


@dataclass
class Label:
    """A prediction of fields."""

    name: str
    at: datetime


class Answer(BaseModel):
    """A prediction as a pydantic model."""

    name: str
    score: float


def matrix(rows: list[list[int]]) -> object:
    """numpy's matrix, which it advises against: models may return one all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(rows)


@pytest.mark.parametrize(
    ("predictions", "texts"),
    [
        (np.array([0, 1]), ["0", "1"]),
        (np.array([[0], [1]]), ["0", "1"]),
        (np.array([0, 255], dtype=np.uint8), ["0", "255"]),
        (np.array([2**64 - 1], dtype=np.uint64), ["18446744073709551615"]),
        (np.array([1, 2], dtype=">i4"), ["1", "2"]),
        (np.array([0, 1, 2, 3])[::2], ["0", "2"]),
        (np.array([0.1, 1.0, np.nan, np.inf, -np.inf, -0.0]), ["0.1", "1.0", "nan", "inf", "-inf", "-0.0"]),
        (np.array([0.1, 1e-7], dtype=np.float32), ["0.1", "1e-07"]),
        (np.array([0.1], dtype=np.float16), ["0.1"]),
        (np.array([True, False]), ["True", "False"]),
        (np.array(["a", "b,c"]), ["a", "b,c"]),
        (np.array([1 + 2j]), ["(1+2j)"]),
        (np.array(5), ["5"]),
        (np.float32(0.1), ["0.1"]),
        (matrix([[1], [2]]), ["1", "2"]),
        (np.array([["a"], [None]], dtype=object), ["a", "nan"]),
        (np.array([]), []),
        (np.array(["2024-01-01", "NaT"], dtype="datetime64[D]"), ["2024-01-01T00:00:00", "nan"]),
        ([datetime(2024, 1, 1, 12, 30)], ["2024-01-01T12:30:00"]),
        ([1, 2], ["1", "2"]),
        ([1, 2.5, True], ["1", "2.5", "True"]),
        ([1, None, float("nan"), pd.NA, pd.NaT], ["1", "nan", "nan", "nan", "nan"]),
        ([2**80], [str(2**80)]),
        ([Decimal("1.50")], ["1.50"]),
        (["yes", "no"], ["yes", "no"]),
        (
            ['say "hi"', "two\nlines", "cr\rhere", "a,b", "", " x "],
            ['say "hi"', "two\nlines", "cr\rhere", "a,b", "", " x "],
        ),
        ("one text", ["one text"]),
        (None, ["nan"]),
        (7, ["7"]),
        (iter([1, 2]), ["1", "2"]),
        (Opaque(), ["1", "2"]),
        (pd.Series([1.5, 2.5], index=[7, 7]), ["1.5", "2.5"]),
        (pd.Series(["a", None], dtype="str"), ["a", "nan"]),
        (pd.Series([1, None], dtype="Int64"), ["1", "nan"]),
        (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
        (pd.Index([3, 4]), ["3", "4"]),
        (sparse.csr_matrix([[1], [2]]), ["1", "2"]),
    ],
)
def test_scalars(predictions: object, texts: list[str]) -> None:
    assert fields(predictions) == texts


@pytest.mark.parametrize(
    ("predictions", "texts"),
    [
        (np.array([[0.25, 0.75], [1, 0]]), ["[0.25, 0.75]", "[1.0, 0.0]"]),
        (np.array([[0.1, 1]], dtype=np.float32), ["[0.1, 1.0]"]),
        (np.array([[1, 2], [3, 4]]), ["[1, 2]", "[3, 4]"]),
        (np.array([[True, False]]), ["[true, false]"]),
        (np.array([["a", 'b"c']]), ['["a", "b\\"c"]']),
        (np.array([[np.nan, np.inf, -np.inf, 1]]), ["[null, null, null, 1.0]"]),
        (np.zeros((2, 0)), ["[]", "[]"]),
        (np.arange(8).reshape(2, 2, 2), ["[[0, 1], [2, 3]]", "[[4, 5], [6, 7]]"]),
        (np.array([[[0.5, np.nan]]], dtype=np.float32), ["[[0.5, null]]"]),
        ([[1, 2], [3]], ["[1, 2]", "[3]"]),
        ([(1, "a")], ['[1, "a"]']),
        ([np.array([1, 2]), np.array([3, 4])], ["[1, 2]", "[3, 4]"]),
        ([np.array([1, 2]), np.array([3])], ["[1, 2]", "[3]"]),
        ([{"label": "é", "score": np.float32(0.1)}], ['{"label": "é", "score": 0.1}']),
        ([{"a": None}, None], ['{"a": null}', "nan"]),
        ([pd.DataFrame({"a": [1]})], ['[{"a": 1}]']),
        ([{1: {"deep": (1, {2})}}], ['{"1": {"deep": [1, [2]]}}']),
        ([[datetime(2024, 1, 1), Decimal("1.5"), pd.NaT, np.array(3)]], ['["2024-01-01T00:00:00", "1.5", null, 3]']),
        (np.array([(1, "x")], dtype=[("a", int), ("b", "U1")]), ['[1, "x"]']),
        (sparse.csr_matrix([[1, 0]]), ["[1, 0]"]),
        (
            {"label": ["a", "b"], "score": np.array([0.5, 1])},
            ['{"label": "a", "score": 0.5}', '{"label": "b", "score": 1.0}'],
        ),
        ({"logits": np.array([[1, 2], [3, 4]])}, ['{"logits": [1, 2]}', '{"logits": [3, 4]}']),
        ({"a": [1, 2], "b": [1]}, ['{"a": [1, 2], "b": [1]}']),
        ({"a": "text"}, ['{"a": "text"}']),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), ['{"a": 1, "b": "x"}', '{"a": 2, "b": null}']),
        (pd.DataFrame({"a": [0.5, np.nan]}, index=[3, 3]), ['{"a": 0.5}', '{"a": null}']),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), ['{"a": 1}', '{"a": null}']),
        (pd.DataFrame({"t": pd.to_datetime(["2024-01-01"])}), ['{"t": "2024-01-01T00:00:00"}']),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ['{"a": 1, "a": 2}']),
        (pd.DataFrame([[1, 2]], columns=[0, ("x", "y")]), ["{\"0\": 1, \"('x', 'y')\": 2}"]),
        (pd.DataFrame(index=range(2)), ["{}", "{}"]),
    ],
)
def test_json(predictions: object, texts: list[str]) -> None:
    assert fields(predictions) == texts


DAY = datetime(2024, 1, 31, 12, 30)
TIMES = [
    (DAY, "2024-01-31T12:30:00"),
    (DAY.replace(microsecond=500), "2024-01-31T12:30:00.000500"),
    (DAY.replace(tzinfo=timezone(timedelta(hours=2))), "2024-01-31T12:30:00+02:00"),
    (DAY.date(), "2024-01-31"),
    (DAY.time(), "12:30:00"),
    (date(1, 1, 1), "0001-01-01"),
    (pd.Timestamp(DAY), "2024-01-31T12:30:00"),
    (pd.Timestamp("2024-01-31 00:00:00.000000001"), "2024-01-31T00:00:00.000000001"),
    (np.datetime64("2024-01-31"), "2024-01-31T00:00:00"),
    (np.datetime64("2024-01-31T12:30:00.5"), "2024-01-31T12:30:00.500000"),
    (np.datetime64("20000-01-01"), "20000-01-01T00:00:00"),
    (timedelta(days=1, seconds=1), "P1DT0H0M1S"),
    (pd.Timedelta("1s"), "P0DT0H0M1S"),
    (np.timedelta64(1, "s"), "P0DT0H0M1S"),
]


@pytest.mark.parametrize(("time", "text"), TIMES)
def test_a_time_is_written_in_iso_8601_wherever_it_stands(time: Any, text: str) -> None:
    assert fields([time]) == fields(pd.Series([time], dtype=object)) == [text]
    assert fields([[time]]) == [f'["{text}"]']
    frames = [pd.DataFrame({"t": pd.Series([time], dtype=object)}), {"t": [time]}, [{"t": time}]]
    assert [fields(frame) for frame in frames] == [[f'{{"t": "{text}"}}']] * 3
    assert fields([{time: 1}]) == [f'{{"{text}": 1}}']
    assert image_lines([time], "a.png").data.decode() == f"{text},a.png\n"


@pytest.mark.parametrize(("time", "text"), [pair for pair in TIMES if isinstance(pair[0], np.generic | pd.Timestamp)])
def test_so_are_times_in_arrays_and_columns(time: Any, text: str) -> None:
    array = np.array([time]) if isinstance(time, np.generic) else np.array([time.to_datetime64()])
    assert fields(array) == [text]
    assert fields(np.array([array])) == fields(array[np.newaxis]) == [text]
    assert fields(np.array([[array[0], array[0]]])) == [f'["{text}", "{text}"]']
    if "20000" not in text:
        assert fields(pd.Series(array)) == [text]
        assert fields(pd.DataFrame({"t": array})) == [f'{{"t": "{text}"}}']


def masked(values: Any, mask: Any) -> Any:
    return np.ma.MaskedArray(np.array(values), mask=mask)


@pytest.mark.parametrize(
    ("predictions", "texts"),
    [
        (masked([1, 999999], [False, True]), ["1", "nan"]),
        (masked([[1], [999999]], [[False], [True]]), ["1", "nan"]),
        (masked(np.array([0.1, 999999], dtype=np.float32), [False, True]), ["0.1", "nan"]),
        (masked([1, 2], [False, False]), ["1", "2"]),
        (masked([[1, 999999], [3, 4]], [[False, True], [False, False]]), ["[1, null]", "[3, 4]"]),
        (masked(["a", "hidden"], [False, True]), ["a", "nan"]),
        ([masked([1, 999999], [False, True])], ["[1, null]"]),
        ([{"x": masked([1, 999999], [False, True])}], ['{"x": [1, null]}']),
        ({"a": masked([1, 999999], [False, True])}, ['{"a": 1}', '{"a": null}']),
        ([np.ma.masked, 1], ["nan", "1"]),
        ([{"x": np.ma.masked}], ['{"x": null}']),
    ],
)
def test_masked_values_are_missing(predictions: object, texts: list[str]) -> None:
    assert fields(predictions) == texts


@pytest.mark.parametrize("tensor", [Tensor, HalfTensor])
def test_tensors_give_their_numbers(tensor: Any) -> None:
    assert fields(tensor([0.5, 0.25])) == fields(tensor([[0.5], [0.25]])) == ["0.5", "0.25"]
    assert fields([tensor(0.5), tensor(0.25)]) == ["0.5", "0.25"]
    assert fields(tensor([[0.5, 0.25]])) == fields([tensor([0.5, 0.25])]) == ["[0.5, 0.25]"]
    assert fields({"x": tensor([0.5, 0.25])}) == ['{"x": 0.5}', '{"x": 0.25}']
    assert fields([{"x": tensor([0.5, 0.25]), "y": [tensor(1.0)]}]) == ['{"x": [0.5, 0.25], "y": [1.0]}']


@pytest.mark.parametrize(
    ("predictions", "texts"),
    [
        (["half \ud800 pair"], ["half \\ud800 pair"]),
        ([{"x": "\udfff"}], ['{"x": "\\udfff"}']),
        ({"\ud800": ["\ud800"]}, ['{"\\ud800": "\\ud800"}']),
        (np.array([["é", "\ud800"]], dtype=object), ['["é", "\\ud800"]']),
    ],
)
def test_half_a_surrogate_pair_is_written_as_its_escape(predictions: object, texts: list[str]) -> None:
    assert fields(predictions) == texts
    same_without_arrow(predictions)


def test_so_is_the_name_of_a_file_that_is_not_utf_8() -> None:
    assert tabular_lines([1], "caf\udce9.csv").data == b"0,1,caf\\udce9.csv\n"
    assert image_lines([1], "caf\udce9.png").data == b"1,caf\\udce9.png\n"


@pytest.mark.parametrize(
    ("predictions", "texts"),
    [
        ({"a": np.array([0.1, 0.2], dtype=np.float32)}, ['{"a": 0.1}', '{"a": 0.2}']),
        (pd.Series(pd.array([0.1, None], dtype="Float32")), ["0.1", "nan"]),
        (pd.DataFrame({"a": pd.array([0.1, None], dtype="Float32")}), ['{"a": 0.1}', '{"a": null}']),
        (pd.Categorical([1, None]), ["1", "nan"]),
        (pd.array([1, None], dtype="Int64"), ["1", "nan"]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), ["1", "nan"]),
        (pd.Series([DAY, None], dtype="timestamp[ns][pyarrow]"), ["2024-01-31T12:30:00", "nan"]),
        (pd.Series([pd.Interval(0.5, 1.5), None]), ["(0.5, 1.5]", "nan"]),
        (pd.Series([pd.Period("2024-01"), None]), ["2024-01", "nan"]),
        (pa.array([1, None]), ["1", "nan"]),
        (pa.chunked_array([[1], [2]]), ["1", "2"]),
        (
            pa.table({"a": [1, None], "b": pa.array([0.1, 0.2], pa.float32())}),
            ['{"a": 1, "b": 0.1}', '{"a": null, "b": 0.2}'],
        ),
        ([2**63, -1], [str(2**63), "-1"]),
        ([2**53 + 1, 0.5], [str(2**53 + 1), "0.5"]),
        ([sparse.csr_matrix([[1, 0]])], ["[[1, 0]]"]),
        ({"a": pd.DataFrame({"x": [1, 2]}), "b": [3, 4]}, ['{"a": {"x": 1}, "b": 3}', '{"a": {"x": 2}, "b": 4}']),
        ({"a": np.array([1, 2]), "b": 3}, ['{"a": [1, 2], "b": 3}']),
        ([frozenset("ba"), {"b", "a"}], ['["a", "b"]'] * 2),
        ([iter([1, 2])], ["[1, 2]"]),
        (range(2), ["0", "1"]),
        ({"a": 1, "b": 2}.values(), ["1", "2"]),
        ({"a": 1, "b": 2}.keys(), ["a", "b"]),
        (deque([1, 2]), ["1", "2"]),
        (UserList([1, 2]), ["1", "2"]),
        ([deque([1, 2]), range(2)], ["[1, 2]", "[0, 1]"]),
        ([memoryview(b"ab"), Decimal("sNaN")], ["b'ab'", "nan"]),
        ([Label("yes", DAY)], ['{"name": "yes", "at": "2024-01-31T12:30:00"}']),
        ([Answer(name="yes", score=0.5)], ['{"name": "yes", "score": 0.5}']),
        (Answer(name="yes", score=0.5), ['{"name": "yes", "score": 0.5}']),
        ([b"ab", 1 + 2j], ["b'ab'", "(1+2j)"]),
        (np.array([b"ab"]), ["b'ab'"]),
        ([[b"ab", 1 + 2j]], ['["b\'ab\'", "(1+2j)"]']),
        (np.array([(1, DAY)], dtype=[("a", int), ("t", "datetime64[ns]")]), ['[1, "2024-01-31T12:30:00"]']),
    ],
)
def test_nothing_is_another_number_or_text(predictions: object, texts: list[str]) -> None:
    assert fields(predictions) == texts


@pytest.mark.parametrize("name", ["a.csv", "a,b.csv", 'say "hi".csv', "two\nlines.csv", "cr\r.csv", "é.csv"])
@pytest.mark.parametrize("predictions", [[1, 2], ["a,b", "c"], np.ones((2, 2))])
def test_file_names(name: str, predictions: object) -> None:
    assert len(fields(predictions, name)) == 2


def test_nothing_is_quoted_without_need() -> None:
    assert tabular_lines(["a b", "x"], "my file.csv").data == b"0,a b,my file.csv\n1,x,my file.csv\n"
    assert tabular_lines(np.array([[1, 2]]), "a.csv").data == b'0,"[1, 2]",a.csv\n'


def test_blocks_of_rows_join(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tabular_lines(np.arange(10) / 4, "a.csv")
    as_json = tabular_lines(pd.DataFrame({"a": range(10), "b": "x"}), "a.csv")
    monkeypatch.setattr(module, "BLOCK_ROWS", 3)
    assert tabular_lines(np.arange(10) / 4, "a.csv") == whole
    assert tabular_lines(pd.DataFrame({"a": range(10), "b": "x"}), "a.csv") == as_json
    assert whole.rows == 10


@pytest.mark.parametrize(
    ("predictions", "text"),
    [
        (np.array([3]), "3"),
        (np.array([[0.5]]), "0.5"),
        (np.array(7), "7"),
        (np.array([[0.25, 0.75]]), "[0.25, 0.75]"),
        (np.array([1, 2, 3]), "[1, 2, 3]"),
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (np.array([]), "[]"),
        (np.ones((1, 2, 2), dtype=np.uint8), "[[1, 1], [1, 1]]"),
        (["cat"], "cat"),
        (["cat", "dog"], '["cat", "dog"]'),
        ("cat", "cat"),
        ([{"label": "cat"}], '{"label": "cat"}'),
        ({"label": "cat"}, '{"label": "cat"}'),
        ({"labels": ["cat", "dog"], "scores": [0.5, 0.25]}, '{"labels": ["cat", "dog"], "scores": [0.5, 0.25]}'),
        ({"probabilities": np.array([[0.5, 0.5]])}, '{"probabilities": [0.5, 0.5]}'),
        (pd.DataFrame({"label": ["cat"], "score": [0.5]}), '{"label": "cat", "score": 0.5}'),
        (pd.DataFrame({"x": [1, 2]}), '[{"x": 1}, {"x": 2}]'),
        (pd.Series([1.5]), "1.5"),
        (None, "nan"),
    ],
)
def test_images(predictions: object, text: str) -> None:
    lines = image_lines(predictions, "a, b.png")
    assert lines.rows == 1
    [row] = csv.reader(io.StringIO(lines.data.decode()))
    assert row == [text, "a, b.png"]


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_texts_come_back(texts: list[str]) -> None:
    assert fields(texts) == texts


@given(st.lists(st.floats(), min_size=1))
@example(
    [
        1e9,
        999999999.9,
        1e14 / 3,
        0.0001,
        0.00009999999999999999,
        1e15,
        999999999999999.9,
        1e16,
        5e-324,
        123456789012345.67,
        1e22,
        -1e-5,
    ]
)
def test_floats_are_written_as_python_does(values: list[float]) -> None:
    assert fields(np.array(values)) == [repr(value) for value in values]
    assert scalar_texts(np.array(values)).to_pylist() == [repr(value) for value in values]


@given(st.lists(st.floats(width=32), min_size=1))
def test_floats_of_32_bits_too(values: list[float]) -> None:
    assert fields(np.array(values, dtype=np.float32)) == [str(value) for value in np.array(values, dtype=np.float32)]


@contextmanager
def without_arrow() -> Iterator[None]:
    """Have an environment that has no pyarrow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        has_arrow.cache_clear()
        module.text_module.cache_clear()
        try:
            yield
        finally:
            patch.undo()
            has_arrow.cache_clear()
            module.text_module.cache_clear()


def same_without_arrow(predictions: object) -> None:
    """Both ways to make texts give the same bytes, for a table and for an image."""
    for name in ("a.csv", 'b, "c".csv'):
        expected = tabular_lines(predictions, name), image_lines(predictions, name)
        with without_arrow():
            assert module.text_module() is plain_text
            assert (tabular_lines(predictions, name), image_lines(predictions, name)) == expected


NUMBERS = {
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "float16": st.floats(width=16),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint8": st.integers(0, 255),
    "bool": st.booleans(),
}


@pytest.mark.parametrize("kind", NUMBERS)
@given(data=st.data())
def test_columns_of_numbers_are_the_same_without_arrow(kind: str, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(NUMBERS[kind], NUMBERS[kind]), min_size=1))
    array = np.array(rows, dtype=kind)
    same_without_arrow(array[:, 0])
    same_without_arrow(array)
    same_without_arrow(pd.DataFrame(array, columns=["a", 'b"c']))


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.none() | st.integers() | st.floats())))
def test_columns_of_objects_are_the_same_without_arrow(rows: list[tuple[str, Any]]) -> None:
    same_without_arrow([text for text, _ in rows])
    same_without_arrow([value for _, value in rows])
    same_without_arrow(pd.DataFrame(rows, columns=["text", "value"]))
    same_without_arrow(pd.DataFrame(index=range(len(rows))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


def finite(value: Any) -> Any:
    """What JSON can hold of a value."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [finite(element) for element in value]
    return {key: finite(element) for key, element in value.items()} if isinstance(value, dict) else value


@given(JSON)
def test_any_json_comes_back(value: Any) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    assert json.loads(json_text(value), parse_constant=refuse) == finite(value)
    [field] = fields([[value]])
    assert json.loads(field) == [finite(value)]
