"""Tables: CSV and Parquet files -> typed DataFrames, and what is said of those that are none."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtwin_node.driver import prefetch
from batchtwin_node.readers import csv_file, endings, read
from batchtwin_node.readers.arrow import has_arrow
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.readers.csv_checks import BLOCK, may_hold_booleans
from batchtwin_node.readers.csv_locate import line_of
from batchtwin_node.readers.signature import Column, Signature, Tensor

Frame = pd.DataFrame
Write = Callable[..., str]


@pytest.fixture
def csv(tmp_path: Path) -> Write:
    """Write a CSV file from text or bytes and return its path."""

    def write(content: str | bytes, name: str = "data.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.fixture
def parquet(tmp_path: Path) -> Write:
    """Write a Parquet file from Arrow columns by name and return its path."""

    def write(**columns: pa.Array) -> str:
        path = tmp_path / "data.parquet"
        pq.write_table(pa.table(columns), path)
        return str(path)

    return write


def asked(*columns: tuple[str, str] | tuple[str, str, bool]) -> Signature:
    """A signature of (name, type) or (name, type, required) columns."""
    return Signature(tuple(Column(*column) for column in columns))


def data(path: str, signature: Signature | None) -> Frame:
    frame = read(path, signature)
    assert isinstance(frame, pd.DataFrame)
    return frame


def bad(path: str, signature: Signature | None) -> BadFileError:
    with pytest.raises(BadFileError) as caught:
        read(path, signature)
    assert str(caught.value).startswith(f"ERROR:azureml:Error processing input file: '{path}'. ")
    assert "\n" not in str(caught.value)
    assert caught.value.bad_file.message == str(caught.value)
    return caught.value


def test_endings_are_known_without_heavy_imports() -> None:
    code = "import sys, batchtwin_node.readers; print({'pandas', 'numpy', 'pyarrow', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert {".csv", ".parquet", ".pqt", ".png", ".jpg", ".jpeg", ".tiff", ".bmp", ".gif"} == set(endings())


@pytest.fixture
def no_arrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that has no pyarrow."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    has_arrow.cache_clear()
    yield
    has_arrow.cache_clear()


def test_parquet_without_pyarrow_names_what_is_missing(parquet: Write, no_arrow: None) -> None:
    error = bad(parquet(x=pa.array([1])), asked(("x", "long")))
    assert "Parquet files need pyarrow 6 or later, which the deployment's environment does not have" in str(error)


def test_nothing_is_prefetched_without_pyarrow(
    csv: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv(prefetch.FOLDER, str(tmp_path))
    path = csv("x\n1\n")
    prefetch.store_table(str(tmp_path), path, asked(("x", "long")))
    request.getfixturevalue("no_arrow")
    assert prefetch.load(path) is None


@pytest.mark.parametrize(("name", "ending"), [("notes.avro", ".avro"), ("NOTES", ""), ("a.csv.gz", ".gz")])
def test_ending_without_reader(name: str, ending: str) -> None:
    error = bad(f"/in/{name}", None)
    assert str(error).endswith(f"'/in/{name}'. File type '{ending}' is not supported.")
    assert error.bad_file.file == f"/in/{name}"


@pytest.mark.parametrize(
    ("kind", "texts", "values", "dtype"),
    [
        ("long", ["1", " -2 ", "+3"], [1, -2, 3], "int64"),
        ("long", ["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)], "int64"),
        ("long", ["1.0", "2"], [1, 2], "int64"),
        ("integer", ["1", "-2147483648"], [1, -(2**31)], "int32"),
        ("double", ["1", "2"], [1.0, 2.0], "float64"),
        ("double", ["1.5", "", "-inf", "1e300"], [1.5, np.nan, -np.inf, 1e300], "float64"),
        ("float", ["0.5", "NA"], [0.5, np.nan], "float32"),
        ("float", ["inf", "-inf"], [np.inf, -np.inf], "float32"),
        ("boolean", ["True", "false", "TRUE"], [True, False, True], "bool"),
        ("boolean", ["True", "", "false"], [True, np.nan, False], "object"),
        ("string", ["007", "True", "1.50"], ["007", "True", "1.50"], "str"),
        ("string", ["a", "", "NA"], ["a", np.nan, np.nan], "str"),
        ("string", ['"a,b"', '"say ""hi"""', '"two\nlines"'], ["a,b", 'say "hi"', "two\nlines"], "str"),
        (
            "datetime",
            ["2024-01-31", "2024-01-31 12:30:00.5", "", "2024-01-31T12:00:00+02:00"],
            [datetime(2024, 1, 31), datetime(2024, 1, 31, 12, 30, 0, 500000), pd.NaT, datetime(2024, 1, 31, 10)],
            "datetime64[ns]",
        ),
        ("binary", ["abc", ""], ["abc", np.nan], "str"),
    ],
)
def test_csv_types(csv: Write, kind: str, texts: list[str], values: list[Any], dtype: str) -> None:
    path = csv("x,n\n" + "".join(f"{text},1\n" for text in texts))
    pd.testing.assert_frame_equal(data(path, asked(("x", kind))), Frame({"x": pd.Series(values, dtype=dtype)}))


@pytest.mark.parametrize("kind", ["long", "integer", "double", "float"])
@pytest.mark.parametrize("texts", [["True"], ["false", "True"]])
def test_truth_is_no_number(csv: Write, kind: str, texts: list[str]) -> None:
    error = bad(csv("\n".join(["n,x", *(f"1,{text}" for text in texts)])), asked(("x", kind)))
    assert (error.bad_file.row, error.bad_file.line, error.bad_file.value) == (0, 2, texts[0])


def test_truth_is_no_float_behind_missing_values(csv: Write) -> None:
    error = bad(csv("n,x\n1,\n1,\n1,True\n"), asked(("x", "float")))
    assert (error.bad_file.column, error.bad_file.row, error.bad_file.line) == ("x", 2, 4)
    frame = data(csv("n,x\n1,\n1,\n1,1\n"), asked(("x", "float")))
    assert frame["x"].isna().tolist() == [True, True, False]


def test_mlflow_takes_truth_for_doubles_if_some_are_missing(csv: Write) -> None:
    assert data(csv("n,x\n1,True\n1,\n"), asked(("x", "double")))["x"].tolist()[0] == 1.0


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("long", "abc", "invalid literal for int() with base 10: 'abc'"),
        ("long", "1.5", "invalid literal for int() with base 10: '1.5'"),
        ("long", "", "the value is missing; the model's signature asks for long here: fill it in"),
        ("long", "NA", "the value is missing"),
        ("long", "9223372036854775808", "'9223372036854775808' is out of range"),
        ("long", "99999999999999999999999", "'99999999999999999999999' is out of range"),
        ("long", "\u0663", "invalid literal for int() with base 10: "),
        ("integer", "2147483648", "'2147483648' is out of range"),
        ("double", "abc", "could not convert string to float: 'abc'"),
        ("double", "1,5", "could not convert string to float: '1,5'"),
        ("double", "x" * 999, f"could not convert string to float: '{'x' * 200}...'"),
        ("float", "two\nlines", r"could not convert string to float: 'two\nlines'"),
        ("float", "1e300", "'1e300' is out of range"),
        ("boolean", "yes", "not a boolean: 'yes'"),
        ("boolean", "1", "not a boolean: '1'"),
        ("datetime", "31/01/2024", "not a time in ISO 8601, as 2024-01-31 12:30:00: '31/01/2024'"),
        ("datetime", "3024-01-01", "'3024-01-01' is out of range"),
    ],
)
@pytest.mark.parametrize("row", [0, 1, 4])
def test_csv_names_column_row_and_value(csv: Write, kind: str, value: str, text: str, row: int) -> None:
    fine = {"boolean": "True", "datetime": "2024-01-01"}.get(kind, "1")
    texts = [value if at == row else fine for at in range(5)]
    path = csv(Frame({"other": "a", "the column": texts}).to_csv(index=False))
    error = bad(path, asked(("the column", kind)))
    assert f"Exception: column 'the column', row {row} (line {row + 2}): {text}" in str(error)
    bad_file = error.bad_file
    assert (bad_file.column, bad_file.row, bad_file.line) == ("the column", row, row + 2)
    assert bad_file.value == (None if value in {"", "NA"} else value)


def test_truth_among_numbers_is_the_first_wrong_value(csv: Write) -> None:
    assert bad(csv("n,x\n1,True\n1,2\n1,no\n"), asked(("x", "long"))).bad_file.value == "True"


def test_first_row_counts_among_wrong_values(csv: Write) -> None:
    path = csv("a,b,c\n1,1,1\n1,x,1\ny,1,z\n")
    assert bad(path, asked(("a", "long"), ("b", "long"), ("c", "long"))).bad_file.column == "b"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("s,x\n\n   \na,1\n\nb,oops\n", 6),
        ('s,x\n"two\nlines",1\nb,oops\n', 4),
        ('s,x\na,1\n"two\nlines",oops\n', 3),
        ("s,x\r\na,1\r\nb,oops\r\n", 3),
        ("s,x\ra,1\rb,oops\r", 3),
        ("\ufeffs,x\na,1\nb,oops", 3),
        (f's,x\n"{"y" * 200_000}",1\nb,oops\n', None),
    ],
)
def test_line_behind_blank_lines_and_quoted_newlines(csv: Write, content: str, line: int | None) -> None:
    error = bad(csv(content), asked(("s", "string"), ("x", "long")))
    assert (error.bad_file.row, error.bad_file.line, error.bad_file.value) == (1, line, "oops")


def deep(column: str, count: int, then: str) -> str:
    """A column of many numbers and then of others: pandas reads it in blocks, each by itself."""
    return f"n,{column}\n" + "1,2\n" * count + f"1,{then}\n" * 50_000


@pytest.mark.parametrize("kind", ["long", "integer", "double", "float"])
@pytest.mark.parametrize("count", [524_288, 600_000])
def test_booleans_deep_in_a_column_of_numbers(csv: Write, kind: str, count: int) -> None:
    """pandas takes a block of nothing but True for numbers, wherever it begins."""
    error = bad(csv(deep("x", count, "True")), asked(("n", "long"), ("x", kind)))
    assert (error.bad_file.column, error.bad_file.row, error.bad_file.value) == ("x", count, "True")


def test_booleans_and_numbers_in_a_column_with_missing_values(csv: Write) -> None:
    signature = asked(("n", "long"), ("x", "double"))
    whole = data(csv("n,x\n1,\n" + "1,false\n" * 600_000), signature)["x"]
    assert whole.sum() == 0 and whole.isna().sum() == 1, "MLflow takes such a column"
    error = bad(csv("n,x\n1,\n" + deep("x", 524_287, "false").partition("\n")[2]), signature)
    assert (error.bad_file.row, error.bad_file.value) == (524_288, "false")


@pytest.mark.parametrize("before", [0, 1, 2, 3, 4, 5, 6])
def test_the_text_of_a_boolean_is_found_wherever_it_lies(tmp_path: Path, before: int) -> None:
    """Also where a block of the look ends."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"1" * (BLOCK - before) + b"FALSE" + b"1" * 10)
    assert may_hold_booleans(str(path))
    path.write_bytes(b"1" * (BLOCK - before) + b"FALS" + b"1" * BLOCK)
    assert not may_hold_booleans(str(path))


def test_quoted_blanks_are_a_record(csv: Write) -> None:
    assert line_of(csv('x\n""\n\n1\n'), 1) == 4


@pytest.mark.parametrize("signature", [None, asked(("a", "long"), ("b", "string")), asked(("a", "long"))])
@pytest.mark.parametrize(
    ("content", "row", "fields"),
    [
        ("a,b\n1,2\n3,4,5\n", 1, 3),
        ("a,b\n1,2,3\n3,4\n", 0, 3),
        ("a,b\n1,2,\n3,4,5\n", 1, 3),
        ("a,b\n1,2\n3,4,\n", 1, 3),
    ],
)
def test_too_many_fields(csv: Write, signature: Signature | None, content: str, row: int, fields: int) -> None:
    error = bad(csv(content), signature)
    assert f"row {row} (line {row + 2}): {fields} fields, the header has 2: quote values that hold a comma" in str(
        error
    )


def test_commas_at_the_end_of_every_line(csv: Write) -> None:
    assert data(csv("a,b\n1,2,\n3,4,\n"), asked(("a", "long"), ("b", "long"))).to_numpy().tolist() == [[1, 2], [3, 4]]


def test_too_few_fields_are_missing_values(csv: Write) -> None:
    path = csv("a,b\n1\n3,x\n")
    assert data(path, asked(("b", "string")))["b"].isna().tolist() == [True, False]
    assert bad(csv("a,b\n1,1\n3\n"), asked(("b", "long"))).bad_file.row == 1


def test_fault_behind_a_field_too_long_for_the_csv_module(csv: Write) -> None:
    path = csv(f'a,b\n"{"y" * 200_000}",1\n1,2,3\n')
    assert str(bad(path, asked(("b", "long")))).endswith("Expected 2 fields in line 3, saw 3")


def test_the_earlier_of_two_faults_is_named(csv: Write) -> None:
    signature = asked(("a", "long"))
    assert bad(csv("a,b\nx,1\n1,2,3\n"), signature).bad_file.value == "x"
    assert bad(csv("a,b\n1,2,3\nx,1\n"), signature).bad_file.column is None
    assert bad(csv("a,b\n1,2\n1,2,3\nx,1\n"), signature).bad_file.row == 1


@pytest.mark.parametrize("signature", [None, asked(("a", "long"))])
def test_bad_encoding(csv: Write, signature: Signature | None) -> None:
    error = bad(csv(b"a,name\n1,x\n2,caf\xe9\n"), signature)
    assert "column 'name', row 1 (line 3): not UTF-8: 'caf\\xe9'; save the file as UTF-8" in str(error)
    assert bad(csv(b"\xe9a,b\n1,2\n"), signature).bad_file.line == 1
    assert "not UTF-8" in str(bad(csv("a,b\n1,2\n".encode("utf-16")), signature))


def test_unclosed_quote(csv: Write) -> None:
    assert "EOF inside string" in str(bad(csv('a,b\n1,"x\n2,3\n'), asked(("a", "long"))))
    for start in ('a,b\n1,"x', 'a,b\n1,2\n3,"x'):
        assert "EOF inside string" in str(bad(csv(start + "y" * 200_000), asked(("a", "long"))))


@pytest.mark.parametrize("content", ["\n\n", "   "])
def test_csv_of_blanks(csv: Write, content: str) -> None:
    assert "No columns to parse from file" in str(bad(csv(content), asked(("a", "long"))))


def test_extra_columns_are_dropped_and_order_is_the_signature_s(csv: Write) -> None:
    frame = data(csv("z,b,a,b.1\n9,1,2,x\n"), asked(("a", "long"), ("b", "double")))
    pd.testing.assert_frame_equal(frame, Frame({"a": [2], "b": [1.0]}))


def test_twin_columns(csv: Write) -> None:
    path = csv("a,a,b\n1,x,2\n")
    pd.testing.assert_frame_equal(data(path, asked(("a", "long"))), Frame({"a": [1]}))
    assert data(path, asked(("a.1", "string")))["a.1"].tolist() == ["x"]


def test_missing_columns(csv: Write) -> None:
    signature = asked(("a", "long"), ("b", "long"), ("c", "long"))
    error = bad(csv("a,x\n1,2\n"), signature)
    assert "column 'b': missing columns 'b', 'c'; the file has 'a', 'x': add what is missing" in str(error)
    assert error.bad_file.column == "b"


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        ("age,chlo,bim", "did you mean 'chol' by 'chlo' and 'bmi' by 'bim'?"),
        ("age,Chol,bim", "names are compared as they are: 'Chol' is not 'chol'"),
        ("age,choll,bmi", "did you mean 'chol' by 'choll'?"),
        ("age,x,y", "add what is missing"),
        ("age,chol_1,bmi", "add what is missing"),
        ("age," + ",".join(f"chol{number}" for number in range(300)), "add what is missing"),
        ("age,bmi,chol" + "l" * 100_000, "add what is missing"),
    ],
)
def test_misspelt_columns(csv: Write, header: str, advice: str) -> None:
    """Columns that the signature has are not meant by others."""
    signature = asked(("age", "long"), ("chol", "long"), ("chol_1", "long", False), ("bmi", "long"))
    values = ",".join("1" for _ in header.split(","))
    assert str(bad(csv(f"{header}\n{values}\n"), signature)).endswith(f": {advice}")


def test_optional_columns(csv: Write) -> None:
    signature = asked(
        *((kind, kind, False) for kind in ("long", "integer", "boolean", "double", "string")), ("n", "long")
    )
    assert list(data(csv("n\n1\n"), signature)) == ["n"]
    empty = data(csv("n,long,integer,boolean,double,string\n1,,,,,\n2,,NA,,,\n"), signature)
    assert list(empty) == ["double", "string", "n"], "MLflow takes no empty column of these types, but does without"
    assert empty["double"].dtype == "float64"
    error = bad(csv("n,long,integer\n1,,\n2,3,\n"), signature)
    assert (error.bad_file.column, error.bad_file.row, error.bad_file.value) == ("long", 0, None)


def test_optional_columns_that_stand_alone(csv: Write) -> None:
    assert list(data(csv("n,b\n1,\n"), asked(("n", "long"), ("b", "boolean", False)))) == ["n"]
    error = bad(csv("n,i\n1,1\n2,\n"), asked(("i", "long", False)))
    assert (error.bad_file.column, error.bad_file.row) == ("i", 1)


def test_required_boolean_without_values(csv: Write) -> None:
    error = bad(csv("n,b\n1,\n2,\n"), asked(("b", "boolean")))
    assert (error.bad_file.column, error.bad_file.row) == ("b", 0)


def test_header_only(csv: Write) -> None:
    signature = asked(*((kind, kind) for kind in ("long", "double", "boolean", "string", "datetime", "binary")))
    frame = data(csv("long,double,boolean,string,datetime,binary\n"), signature)
    assert frame.shape == (0, 6)
    assert "missing column 'a'" in str(bad(csv("b\n"), asked(("a", "long"))))


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet"])
@pytest.mark.parametrize("signature", [None, asked(("a", "long"))])
def test_file_deleted_in_between(tmp_path: Path, name: str, signature: Signature | None) -> None:
    assert "cannot be read: No such file or directory" in str(bad(str(tmp_path / name), signature))


def test_no_signature_is_what_pandas_reads(csv: Write, parquet: Write) -> None:
    path = csv("a,b,c,d\n1,1.5,x,True\n2,,y,False\n")
    pd.testing.assert_frame_equal(data(path, None), pd.read_csv(path))
    path = parquet(a=pa.array([1, None]), d=pa.array([date(2024, 1, 1), None]))
    pd.testing.assert_frame_equal(data(path, None), pd.read_parquet(path))


def test_columns_without_names_are_taken_by_position(csv: Write) -> None:
    signature = Signature((Column("", "double"), Column("", "string")), named=False)
    frame = data(csv("p,q,r\n1,2,3\n"), signature)
    pd.testing.assert_frame_equal(frame, Frame({"p": [1.0], "q": pd.Series(["2"], dtype="str")}))
    assert "asks for 2 columns; the file has 1: add" in str(bad(csv("p\n1\n"), signature))


def test_columns_that_are_no_scalars_are_left_to_mlflow(csv: Write, parquet: Write) -> None:
    signature = asked(("a", "any"), ("b", "double"))
    assert data(csv("a,b\n1,2\n"), signature).dtypes.tolist() == [np.dtype("int64"), np.dtype("float64")]
    frame = data(parquet(a=pa.array([[1, 2]]), b=pa.array([2])), signature)
    assert frame["a"][0].tolist() == [1, 2]


def test_table_as_array(csv: Write, parquet: Write) -> None:
    signature = Signature(tensors=(Tensor((-1, 2), "float64"),))
    assert data(csv("a,b\n1,2\n"), signature).dtypes.tolist() == [np.dtype("float64")] * 2
    error = bad(csv("a,b,c\n1,2,3\n"), signature)
    assert "asks for an array of shape (-1, 2); the file is a table of shape (-1, 3)" in str(error)
    assert "of shape (-1, 28, 28, 1); the file" in str(
        bad(csv("a,b\n1,2\n"), Signature(tensors=(Tensor((-1, 28, 28, 1), "uint8"),)))
    )
    assert bad(csv("a,b\n1,2\n1,x\n"), signature).bad_file.row == 1
    any_size = Signature(tensors=(Tensor((-1, -1), "float32"),))
    assert data(csv("a,b\n1,2\n"), any_size).dtypes.tolist() == [np.dtype("float32")] * 2


def test_scalars_of_named_tensors_have_their_types(csv: Write) -> None:
    signature = Signature(tensors=(Tensor((-1,), "int64", "n"), Tensor((-1, 1), "float32", "x")))
    frame = data(csv("x,n,more\n1,2,a\n"), signature)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {"n": "int64", "x": "float32"}
    for text in ("n,x\n1.5,1\n", "n,x\n,1\n"):
        assert bad(csv(text), signature).bad_file.column == "n"
    assert "missing column 'x'" in str(bad(csv("n\n1\n"), signature))


@pytest.mark.parametrize(
    "tensors",
    [
        (Tensor((-1, 4), "float64"),),
        (Tensor((-1,), "uint8"),),
        (Tensor((-1, 2), "float64", "one"),),
        (Tensor((-1, 2), "float64", "one"), Tensor((-1, 2), "float64", "two")),
    ],
)
def test_tables_that_mlflow_makes_arrays_of(csv: Write, parquet: Write, tensors: tuple[Tensor, ...]) -> None:
    signature = Signature(tensors=tensors)
    assert data(csv("a\n1\n"), signature)["a"].tolist() == [1]
    assert data(parquet(a=pa.array([[1, 2, 3, 4]])), signature)["a"][0].tolist() == [1, 2, 3, 4]


NOON = datetime(2024, 1, 1, 12)


@pytest.mark.parametrize(
    ("kind", "values", "expected", "dtype"),
    [
        ("long", pa.array([1, 2], pa.int32()), [1, 2], "int64"),
        ("long", pa.array([1, 2], pa.uint64()), [1, 2], "int64"),
        ("long", pa.array([1.0, 2.0]), [1, 2], "int64"),
        ("long", pa.array(["1", "2"]), [1, 2], "int64"),
        ("long", pa.array([1, 2]).dictionary_encode(), [1, 2], "int64"),
        ("integer", pa.array([1, 2], pa.int64()), [1, 2], "int32"),
        ("double", pa.array([1, None], pa.int64()), [1.0, np.nan], "float64"),
        ("double", pa.array([1.5, None], pa.float32()), [1.5, np.nan], "float64"),
        ("double", pa.array([Decimal("1.5"), None]), [1.5, np.nan], "float64"),
        ("double", pa.array([True, None]), [1.0, np.nan], "float64"),
        ("double", pa.nulls(2), [np.nan, np.nan], "float64"),
        ("float", pa.array([0.5, np.inf], pa.float64()), [0.5, np.inf], "float32"),
        ("boolean", pa.array([True, False]), [True, False], "bool"),
        ("boolean", pa.array([True, None]), [True, None], "object"),
        ("string", pa.array(["a", None]), ["a", np.nan], "str"),
        ("string", pa.array(["a", None], pa.large_string()), ["a", np.nan], "str"),
        ("string", pa.array(["a", None]).dictionary_encode(), ["a", np.nan], "str"),
        ("string", pa.array([date(2024, 1, 1), None]), [date(2024, 1, 1), None], "object"),
        ("string", pa.array([b"a", None]), [b"a", None], "object"),
        ("datetime", pa.array([NOON, None], pa.timestamp("us")), [NOON, pd.NaT], "datetime64[ns]"),
        ("datetime", pa.array([NOON, None], pa.timestamp("ms", "Europe/Berlin")), [NOON, pd.NaT], "datetime64[ns]"),
        ("datetime", pa.array([date(2024, 1, 1), None]), [datetime(2024, 1, 1), pd.NaT], "datetime64[ns]"),
        ("datetime", pa.array(["2024-01-01T12:00:00", None]), [NOON, pd.NaT], "datetime64[ns]"),
        ("binary", pa.array([b"a", None]), [b"a", None], "object"),
        ("binary", pa.array(["a", None]), ["a", np.nan], "str"),
    ],
)
def test_parquet_types(parquet: Write, kind: str, values: pa.Array, expected: list[Any], dtype: str) -> None:
    frame = data(parquet(x=values, other=pa.nulls(2)), asked(("x", kind)))
    pd.testing.assert_frame_equal(frame, Frame({"x": pd.Series(expected, dtype=dtype)}))


@pytest.mark.parametrize(
    ("kind", "values", "row", "text"),
    [
        ("long", pa.array([1, None]), 1, "the value is missing"),
        ("long", pa.array([1.0, np.nan]), 1, "the value is missing"),
        ("long", pa.array([1.0, 1.5]), 1, "invalid literal for int() with base 10: '1.5'"),
        ("long", pa.array(["1", "abc"]), 1, "invalid literal for int() with base 10: 'abc'"),
        ("integer", pa.array([1, 2**31]), 1, "'2147483648' is out of range"),
        ("double", pa.array([1, 2**60 + 1]), 1, f"'{2**60 + 1}' is not exactly representable as double"),
        ("float", pa.array([1e300, 1.0]), 0, "'1e+300' is out of range"),
        ("boolean", pa.array([None, None], pa.bool_()), 0, "the value is missing"),
        ("datetime", pa.array([NOON, datetime(3024, 1, 1)]), 1, "'3024-01-01 00:00:00' is out of range"),
        ("datetime", pa.array(["2024-01-01", "soon"]), 1, "not a time"),
        ("boolean", pa.array([1, 0]), None, "asks for boolean; the file has int64: convert the column"),
        ("string", pa.array([1, 0]), None, "asks for string; the file has int64: convert the column"),
        ("datetime", pa.array([1, 0]), None, "asks for datetime; the file has int64"),
        ("long", pa.array([True, False]), None, "asks for long; the file has bool"),
        ("double", pa.array([[1.0], [2.0]]), None, "asks for double; the file has list"),
        ("binary", pa.array([1, 2]), None, "asks for binary; the file has int64"),
    ],
)
def test_parquet_names_column_row_and_value(
    parquet: Write, kind: str, values: pa.Array, row: int | None, text: str
) -> None:
    error = bad(parquet(x=values), asked(("x", kind)))
    assert text in str(error)
    assert (error.bad_file.column, error.bad_file.row, error.bad_file.line) == ("x", row, None)


def test_parquet_columns(parquet: Write, tmp_path: Path) -> None:
    signature = asked(("a", "long"), ("b", "long", False), ("c", "boolean", False))
    path = parquet(b=pa.nulls(1), z=pa.array(["x"]), a=pa.array([1]), c=pa.nulls(1, pa.bool_()))
    pd.testing.assert_frame_equal(data(path, signature), Frame({"a": [1]}))
    assert "missing column 'a'; the file has 'z'" in str(bad(parquet(z=pa.array([1])), signature))
    twins = tmp_path / "twins.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), twins)
    assert "column 'a': more than one column has this name" in str(bad(str(twins), signature))


def test_parquet_without_rows(parquet: Write) -> None:
    signature = asked(("a", "long"), ("b", "boolean"), ("c", "string", False))
    frame = data(
        parquet(a=pa.array([], pa.int64()), b=pa.array([], pa.bool_()), c=pa.array([], pa.string())), signature
    )
    assert frame.shape == (0, 3)


def test_index_of_a_pandas_parquet_file_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "data.pqt"
    Frame({"a": [1, 2]}, index=pd.Index([7, 8], name="id")).to_parquet(path)
    pd.testing.assert_frame_equal(
        data(str(path), asked(("id", "long"), ("a", "long"))), Frame({"id": [7, 8], "a": [1, 2]})
    )


@pytest.mark.parametrize("keep", [4, 100, -1])
@pytest.mark.parametrize("signature", [None, asked(("a", "long"))])
def test_broken_parquet(parquet: Write, keep: int, signature: Signature | None) -> None:
    path = Path(parquet(a=pa.array(range(1000))))
    path.write_bytes(path.read_bytes()[:keep])
    assert "not a readable Parquet file" in str(bad(str(path), signature))


def test_name_of_the_file_keeps_the_text_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=re.escape(r"two\nlines.csv")):
        read(str(tmp_path / "two\nlines.csv"), None)


# Round trips. A text that pandas takes for a missing value does not come back, nor do bare blanks in the only column.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).map("t".__add__)
TIMES = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "long": (st.integers(-(2**63), 2**63 - 1), "int64"),
    "integer": (st.integers(-(2**31), 2**31 - 1), "int32"),
    "double": (st.none() | FLOATS, "float64"),
    "float": (st.none() | st.floats(allow_nan=False, width=32), "float32"),
    "boolean": (st.booleans(), "bool"),
    "string": (st.none() | TEXTS, "str"),
    "datetime": (st.none() | TIMES, "datetime64[ns]"),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Frame, Signature]:
    """A table of one to four typed columns and at least one row, and its signature."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    rows = draw(st.integers(1, 8))
    columns = {}
    for at, kind in enumerate(kinds):
        values, dtype = VALUES[kind]
        columns[f"{kind}{at}"] = pd.Series(draw(st.lists(values, min_size=rows, max_size=rows)), dtype=dtype)
    return Frame(columns), Signature(tuple(Column(f"{kind}{at}", kind) for at, kind in enumerate(kinds)))


@given(tables())
@settings(max_examples=60, deadline=None)
def test_any_table_comes_back(drawn: tuple[Frame, Signature]) -> None:
    frame, signature = drawn
    with tempfile.TemporaryDirectory() as folder:
        as_parquet, as_csv = f"{folder}/data.parquet", f"{folder}/data.csv"
        frame.to_parquet(as_parquet)
        pd.testing.assert_frame_equal(data(as_parquet, signature), frame)
        if frame.isna().all(axis=1).any() and len(frame.columns) == 1:
            return  # a blank line is no record
        frame.to_csv(as_csv, index=False, quoting=2)
        # pandas' fast parser may miss a double by its last digit.
        pd.testing.assert_frame_equal(data(as_csv, signature), frame, rtol=1e-14)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_bad_value_is_named_exactly(drawing: st.DataObject) -> None:
    rows = drawing.draw(st.integers(1, 12))
    at = drawing.draw(st.integers(0, rows - 1))
    kind, value = drawing.draw(
        st.sampled_from(
            [("long", "x1"), ("long", ""), ("integer", "1e99"), ("double", "1.2.3"), ("float", "-"), ("boolean", "no")]
        )
    )
    notes = drawing.draw(st.lists(TEXTS, min_size=rows, max_size=rows))
    fine = "True" if kind == "boolean" else "1"
    texts = [fine] * rows
    texts[at] = value
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # Chunks so small that some values lie in the last of several.
        patch.setattr(csv_file, "CHUNK_ROWS", drawing.draw(st.sampled_from([2, 5, 50_000])))
        path = f"{folder}/data.csv"
        Frame({"note": notes, "x": texts}).to_csv(path, index=False)
        bad_file = bad(path, asked(("note", "string"), ("x", kind))).bad_file
    assert (bad_file.column, bad_file.row, bad_file.value) == ("x", at, value or None)
    assert bad_file.line == 2 + at + sum(len(re.findall("\n", note)) for note in notes[:at])
