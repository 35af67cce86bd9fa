"""Signatures and column types: what is asked for, and in which words a value is refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import pytest

from batchtwin_node.readers.bad_file import BadFileError, UnsupportedTypeError, quote
from batchtwin_node.readers.columns import arrow_type, convert, refusal, times
from batchtwin_node.readers.signature import Column, Signature, Tensor


@dataclass
class DataType:
    """As MLflow's own enumeration: found by the name of its class."""

    name: str


@dataclass
class Array:
    """Any of MLflow's types that are not scalar."""

    dtype: str


@dataclass
class Spec:
    """A ColSpec or TensorSpec."""

    type: Any
    name: str | None = None
    required: bool = True
    shape: tuple[int, ...] = ()


@dataclass
class Schema:
    """An MLflow schema: `is_tensor_spec()`, `has_input_names()` and `inputs`."""

    inputs: list[Spec]
    tensor: bool = False

    def is_tensor_spec(self) -> bool:
        return self.tensor

    def has_input_names(self) -> bool:
        return self.inputs[0].name is not None


def test_signature_of_columns() -> None:
    schema = Schema([Spec(DataType("long"), "a"), Spec(DataType("string"), "b", False), Spec(Array("double"), "c")])
    columns = (Column("a", "long"), Column("b", "string", False), Column("c", "any"))
    assert Signature.of(schema) == Signature(columns)


def test_signature_without_names() -> None:
    assert Signature.of(Schema([Spec(DataType("long"))])) == Signature((Column("", "long"),), named=False)


def test_signature_of_tensors() -> None:
    schema = Schema([Spec(DataType("uint8"), shape=(-1, 28, 28, 1))], tensor=True)
    assert Signature.of(schema) == Signature(tensors=(Tensor((-1, 28, 28, 1), "uint8"),))


def test_no_signature() -> None:
    assert Signature.of(None) is None


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("long", None, "the value is missing; the model's signature asks for long here: fill it in"),
        ("long", "", "invalid literal for int() with base 10: ''"),
        ("long", " +9223372036854775808 ", "' +9223372036854775808 ' is out of range"),
        ("integer", "-9999999999", "'-9999999999' is out of range"),
        ("integer", "--1", "invalid literal for int() with base 10: '--1'"),
        ("double", "x", "could not convert string to float: 'x'; the model's signature asks for double here"),
        ("float", "1e99", "'1e99' is out of range; the model's signature asks for float here"),
        ("boolean", "maybe", "not a boolean: 'maybe'; the model's signature asks for boolean here"),
        ("datetime", "5", "not a time in ISO 8601, as 2024-01-31 12:30:00: '5'"),
    ],
)
def test_refusal(kind: str, value: str | None, text: str) -> None:
    assert refusal(kind, value).startswith(text)


def test_times_are_utc_without_zone() -> None:
    texts = pd.Series(["2024-01-01T12:00:00+02:00", "20240101", "2024-01-01 10:00:00.000000001"])
    assert [str(time) for time in times(texts)] == [
        "2024-01-01 10:00:00",
        "2024-01-01 00:00:00",
        "2024-01-01 10:00:00.000000001",
    ]


def test_convert_leaves_other_columns_alone() -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    assert convert(frame, (Column("a", "long"), Column("b", "binary"))).equals(pd.DataFrame({"a": [1], "b": ["x"]}))


def test_every_type_has_an_arrow_type() -> None:
    kinds = ("long", "integer", "double", "float", "boolean", "string", "datetime", "binary")
    assert len({str(arrow_type(kind)) for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "no good"),
        ({"line": 3}, "line 3: no good"),
        ({"row": 1}, "row 1: no good"),
        ({"column": "a"}, "column 'a': no good"),
        ({"column": "a", "row": 1, "line": 3}, "column 'a', row 1 (line 3): no good"),
    ],
)
def test_bad_file_says_where(place: dict[str, Any], text: str) -> None:
    error = BadFileError("/in/a.csv", "no good", **place)
    assert str(error) == f"ERROR:azureml:Error processing input file: '/in/a.csv'. Exception: {text}"
    known = {name: value for name, value in asdict(error.bad_file).items() if value is not None}
    assert known == {"file": "/in/a.csv", "message": str(error), **place}


def test_unsupported_type_is_a_bad_file() -> None:
    error = UnsupportedTypeError("/in/a.avro", ".avro")
    assert str(error) == "ERROR:azureml:Error processing input file: '/in/a.avro'. File type '.avro' is not supported."
    assert isinstance(error, BadFileError)


def test_bad_file_is_one_line() -> None:
    error = BadFileError("/in/two\nlines.csv", "no\r\ngood")
    assert str(error).endswith(r"'/in/two\nlines.csv'. Exception: no\r\ngood")
    assert error.bad_file.file == "/in/two\nlines.csv"


def test_long_values_are_cut() -> None:
    assert quote("x" * 200) == repr("x" * 200)
    assert quote("x" * 201) == repr("x" * 200 + "...")
