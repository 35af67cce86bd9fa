"""A reason given is true, and the same on every way to read a value: CSV or Parquet, with and without pyarrow."""

from __future__ import annotations

import gzip
import io
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtwin_node.driver.coalesce import Coalescer
from batchtwin_node.protocol import BadFile, FilePart
from batchtwin_node.readers import csv_part, parquet_pandas, read
from batchtwin_node.readers.bad_file import BadFileError, printable
from batchtwin_node.readers.columns import refusal
from batchtwin_node.readers.csv_batch import read_many
from batchtwin_node.readers.file_kind import other_kind
from batchtwin_node.readers.signature import Column, Signature
from batchtwin_node.script.results import OutputLines
from batchtwin_node.writers.predictions import tabular_lines

LONG_RANGE = "which holds -9223372036854775808 to 9223372036854775807"
TIME_RANGE = "which holds 1677-09-21 00:12:43.145224193 to 2262-04-11 23:47:16.854775807"
ONE_WAY = ": write it as 1234.5, with nothing between thousands"


def of(kind: str) -> Signature:
    return Signature((Column("x", kind),))


def reason(path: Path, kind: str) -> str:
    """What is said of the last value of a file, without the place."""
    with pytest.raises(BadFileError) as caught:
        read(str(path), of(kind))
    assert caught.value.bad_file.column == "x"
    return str(caught.value).partition("Exception: ")[2].partition(": ")[2]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("double", "1_000", f"could not convert string to float: '1_000'; {{asks}}{ONE_WAY}"),
        ("double", "\uff11\uff12", f"could not convert string to float: '\uff11\uff12'; {{asks}}{ONE_WAY}"),
        ("float", "1,5", f"could not convert string to float: '1,5'; {{asks}}{ONE_WAY}"),
        ("double", "1,234.5", f"could not convert string to float: '1,234.5'; {{asks}}{ONE_WAY}"),
        ("double", "1.234,5", f"could not convert string to float: '1.234,5'; {{asks}}{ONE_WAY}"),
        ("double", "1\xa0234", f"could not convert string to float: '1\\xa0234'; {{asks}}{ONE_WAY}"),
        ("double", "1'234", f'could not convert string to float: "1\'234"; {{asks}}{ONE_WAY}'),
        ("double", "0x1F", "could not convert string to float: '0x1F'; {asks}"),
        ("double", "yes", "could not convert string to float: 'yes'; {asks}"),
        ("double", "5%", "could not convert string to float: '5%'; {asks}"),
        ("double", "1\x002", "could not convert string to float: '1\\x002'; {asks}"),
        ("float", "1e39", "'1e39' is out of range; {asks}, which holds -3.4028235e+38 to 3.4028235e+38"),
        ("long", "1_000", f"invalid literal for int() with base 10: '1_000'; {{asks}}{ONE_WAY}"),
        ("long", "٣", f"invalid literal for int() with base 10: '٣'; {{asks}}{ONE_WAY}"),
        ("long", "0x1F", "invalid literal for int() with base 10: '0x1F'; {asks}"),
        ("integer", "inf", "invalid literal for int() with base 10: 'inf'; {asks}"),
        ("long", "9" * 19, f"'{'9' * 19}' is out of range; {{asks}}, {LONG_RANGE}"),
        ("integer", "2147483648", "'2147483648' is out of range; {asks}, which holds -2147483648 to 2147483647"),
        ("datetime", "9999-12-31", f"'9999-12-31' is out of range; {{asks}}, {TIME_RANGE}"),
        ("datetime", "0001-01-01", f"'0001-01-01' is out of range; {{asks}}, {TIME_RANGE}"),
        ("datetime", "2262-04-12", f"'2262-04-12' is out of range; {{asks}}, {TIME_RANGE}"),
        ("datetime", "2024-02-30", "no such date or time: '2024-02-30'; {asks}"),
        ("datetime", "2024-01-01T25:00", "no such date or time: '2024-01-01T25:00'; {asks}"),
        ("datetime", "01/02/2024", "not a time in ISO 8601, as 2024-01-31 12:30:00: '01/02/2024'; {asks}"),
    ],
)
@pytest.mark.parametrize("way", ["csv", "parquet", "parquet without pyarrow"])
def test_same_reason_on_every_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, kind: str, value: str, expected: str
) -> None:
    fine = "2024-01-01" if kind == "datetime" else "1"
    frame = pd.DataFrame({"x": [fine, value]})
    path = tmp_path / ("x.csv" if way == "csv" else "x.parquet")
    if way == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    if way == "parquet without pyarrow":
        # fastparquet is not a part of this environment: what it reads is what pandas gives here.
        column = frame["x"].astype(object)
        with pytest.raises(BadFileError) as caught:
            parquet_pandas._typed(str(path), column, Column("x", kind))
        text = str(caught.value).partition("Exception: ")[2].partition(": ")[2]
    else:
        text = reason(path, kind)
    assert text == expected.replace("{asks}", f"the model's signature asks for {kind} here")


@pytest.mark.parametrize(
    ("kind", "text"), [("double", "1e3"), ("double", " 1.5 "), ("long", " +3 "), ("float", "-Inf")]
)
def test_same_texts_are_numbers_on_every_way(tmp_path: Path, kind: str, text: str) -> None:
    frame = pd.DataFrame({"x": [text]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    values = [read(str(tmp_path / f"x.{ending}"), of(kind))["x"].tolist() for ending in ("csv", "parquet")]
    assert values == [[float(text)]] * 2
    assert parquet_pandas._typed("x", frame["x"].astype(object), Column("x", kind)).tolist() == [float(text)]


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("double", pa.array([2**53 + 1]), "'9007199254740993' is not exactly representable as double"),
        ("float", pa.array([2**24 + 1]), "'16777217' is not exactly representable as float"),
        ("long", pa.array([1e20]), "'1e+20' is out of range"),
        ("long", pa.array([2**63], pa.uint64()), "'9223372036854775808' is out of range"),
        ("datetime", pa.array([date(9999, 12, 31)]), "'9999-12-31' is out of range"),
        ("datetime", pa.array([datetime(9999, 12, 31)], pa.timestamp("us", "UTC")), "'9999-12-31 00:00:00+00:00' is"),
        ("datetime", pa.array([400_000 * 86400 * 365], pa.timestamp("s")), "'12614400000000000 (timestamp[ms])' is"),
    ],
)
def test_reasons_of_typed_values(tmp_path: Path, kind: str, values: pa.Array, text: str) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": values}), path)
    assert reason(path, kind).startswith(text)


def test_numbers_beyond_all_exponents() -> None:
    for text in ("1e999999999", "1e99999999999999999999", "-1e99999999999999999999"):
        assert refusal("long", text).startswith(f"'{text}' is out of range")


def test_a_coalesced_batch_gives_the_same_reason(tmp_path: Path) -> None:
    for name, value in (("a", "1"), ("b", "1_000"), ("c", "2")):
        (tmp_path / f"{name}.csv").write_text(f"x\n{value}\n3\n")
    paths = [str(tmp_path / f"{name}.csv") for name in "abc"]

    def read_one(path: str) -> Any:
        try:
            return read(path, of("double"))
        except BadFileError as error:
            return error.bad_file

    def one(path: str, data: pd.DataFrame) -> OutputLines:
        return replace(tabular_lines(data["x"], Path(path).name), read=len(data))

    score = Coalescer(read_one, one, lambda frame: frame["x"], of("double"))
    score.row_wise = True
    [_, bad, _] = score(paths)
    assert isinstance(bad, BadFile)
    assert "could not convert string to float: '1_000'" in bad.message


def xlsx() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data.csv", "a,x\n1,2\n")
    return stream.getvalue()


def archived() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("data.csv"))
    return stream.getvalue()


def as_parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1], "x": [2.0]}), stream)
    return stream.getvalue()


TABLE = "a,x\n1,2\n3,4\n"
OTHER_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "semicolons": (lambda: b"a;x\n1;2\n", "separated by ';', the service reads commas: save it with commas"),
    "decimal commas": (lambda: b"a;x\n1,5;2,5\n", "separated by ';', the service reads commas"),
    "quoted semicolons": (lambda: b'"a";"x"\n"1,1";"2;2"\n', "separated by ';', the service reads commas"),
    "Excel's first line": (lambda: b"sep=;\r\na;x\r\n1;2\r\n", "separated by ';', the service reads commas"),
    "semicolons and a short record": (lambda: b"a;x;y\n1;2\n", "separated by ';', the service reads commas"),
    "Hive": (lambda: b"a\x01x\n1\x012\n", "separated by the character 1, as Hive writes it, the service reads commas"),
    "Excel's first line with commas": (lambda: b"sep=,\na,x\n1,2\n", "the first line is for Excel: remove it"),
    "no header": (lambda: b"b,2\nc,3\n", "the first line seems to hold values: add a line with the names"),
    "names in capitals": (lambda: b"a,X\nb,2\n", "names are compared as they are: 'X' is not 'x'"),
    "names after blanks": (lambda: b"a, x\nb,2\n", "names are compared as they are: ' x' is not 'x'"),
    "tabs": (lambda: b"a\tx\n1\t2\n", "separated by tabs, the service reads commas"),
    "bars": (lambda: b"\xef\xbb\xbfa|x\n1|2\n", "separated by '|', the service reads commas"),
    "gzip": (lambda: gzip.compress(TABLE.encode(), mtime=0), "this is a gzip file, not CSV: unpack it"),
    "zip": (zipped, "this is a zip archive, not CSV: unpack it"),
    "xlsx": (xlsx, "this is an Excel workbook, not CSV: save its sheet as CSV"),
    "UTF-16": (lambda: TABLE.encode("utf-16"), "this is UTF-16 text, not UTF-8: save it as UTF-8"),
    "UTF-16 without a mark": (lambda: TABLE.encode("utf-16-be"), "this is UTF-16 text, not UTF-8: save it as UTF-8"),
    "UTF-32": (lambda: TABLE.encode("utf-32"), "this is UTF-32 text, not UTF-8: save it as UTF-8"),
    "tar": (archived, "this is a tar archive, not CSV: unpack it"),
    "pickle": (lambda: pickle.dumps({"a": [1], "x": [2]}), "this is a Python pickle, not CSV: save its table as CSV"),
    "PDF": (lambda: b"%PDF-1.7\n\xff\x00", "this is a PDF document, not CSV"),
    "GIF": (lambda: b"GIF89a\x01\x00", "this is a GIF image, not CSV: name it .gif"),
    "TIFF": (lambda: b"II*\x00\x08\x00", "this is a TIFF image, not CSV: name it .tiff"),
    "RTF": (lambda: b"{\\rtf1 a,x}\n1,2\n", "this is an RTF document, not CSV"),
    "conflict": (lambda: b"<<<<<<< HEAD\na,x\n=======\n", "this is a file with a conflict that Git left, not CSV"),
    "a mark alone": (lambda: b"\xef\xbb\xbf", "the file holds nothing but blanks (No columns to parse from file)"),
    "Parquet": (as_parquet, "this is a Parquet file, not CSV: name it .parquet"),
    "HTML": (lambda: b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "this is an HTML page, such as"),
    "XML": (lambda: b"<?xml version='1.0'?><Error/>", "this is an XML document, not CSV"),
    "JSON": (lambda: b'[{"a": 1, "x": 2}]', "this is JSON, not CSV: save its table as CSV"),
    "JSON lines": (lambda: b'{"a": 1, "x": 2}\n{"a": 1, "x": 2}\n', "this is JSON, not CSV"),
    "LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "this is a pointer of Git LFS"),
    "binary": (lambda: bytes(range(256)) * 4, "this is binary data, not CSV"),
    "blanks": (lambda: b" \n\n", "the file holds nothing but blanks (No columns to parse from file)"),
    "empty": (lambda: b"", "the file is empty (No columns to parse from file)"),
    "cp1252": (lambda: b"a,x\nna\xefve,1\n", r"not UTF-8: 'na\xefve'; save the file as UTF-8; it may be Windows-1252"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_what_a_file_is(tmp_path: Path, name: str) -> None:
    content, expected = OTHER_FILES[name]
    path = tmp_path / "data.csv"
    path.write_bytes(content())
    with pytest.raises(BadFileError) as caught:
        read(str(path), Signature((Column("a", "string"), Column("x", "double"))))
    assert str(caught.value).partition("Exception: ")[2].startswith(expected) or expected in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TABLE.encode(), "this is text, not Parquet: name it .csv if it is CSV"),
        (gzip.compress(TABLE.encode(), mtime=0), "this is a gzip file, not Parquet: unpack it"),
        (b"<html></html>", "this is an HTML page"),
    ],
)
def test_what_a_file_is_that_is_called_parquet(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=f"not a readable Parquet file: {expected}"):
        read(str(path), None)


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        b"\xef\xbb\xbfa,x\r\n1,2\r\n",
        b"a;b,x\n1;1,2\n",
        b"a;b\nno such\n",
        b"x\n1\n",
        "naïve,x\n1,2\n".encode(),
        b"a,x\n" + b"1\x00,2\n" * 9,
    ],
)
def test_files_that_are_what_they_should_be(content: bytes) -> None:
    assert other_kind(content, "CSV") is None


def test_separator_of_a_wide_file() -> None:
    names = ";".join(f"column{at}" for at in range(6000))
    head = f"{names}\n{';'.join('1' * 6000)}\n".encode()[: 1 << 16]
    assert head.count(b"\n") == 1
    assert str(other_kind(head, "CSV")).startswith("separated by ';'")


def test_values_are_to_blame_where_the_file_is_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("x\n1;5\n2;5\n")
    assert reason(path, "double").startswith("could not convert string to float: '1;5'")


def test_open_quote(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text('a,x\n"two\nlines",1\n"open,2\nx,3\n')
    with pytest.raises(BadFileError) as caught:
        read(str(path), Signature((Column("a", "string"), Column("x", "double"))))
    assert "row 1 (line 4): a quote opens here and is never closed" in str(caught.value)


def test_thousands_of_missing_columns_are_one_readable_line(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(",".join(f"have{at}" for at in range(5000)) + "\n")
    signature = Signature(tuple(Column(f"lack{at}", "double") for at in range(5000)))
    with pytest.raises(BadFileError) as caught:
        read(str(path), signature)
    text = str(caught.value)
    assert "missing columns 'lack0', 'lack1'," in text
    assert "'lack9' and 4990 more (5000 in all); the file has 'have0'," in text
    assert len(text) < 600 + len(str(path))


WIDE = [f"gene.{at}" for at in range(3000)]


@pytest.mark.parametrize(
    ("kind", "rows", "expected"),
    [
        ("float", {1: {7: "oops", 2999: "no"}}, ("gene.7", 1, "oops")),
        ("float", {0: {2999: "no"}, 1: {7: "oops"}}, ("gene.2999", 0, "no")),
        ("float", {0: dict.fromkeys(range(3000), "x")}, ("gene.0", 0, "x")),
        ("float", {0: dict.fromkeys(range(3000), ""), 1: {5: "True"}}, ("gene.5", 1, "True")),
        ("long", {2: {3: ""}}, ("gene.3", 2, None)),
        ("double", {0: {1: "False"}}, ("gene.1", 0, "False")),
    ],
)
def test_wide_tables(tmp_path: Path, kind: str, rows: dict[int, dict[int, str]], expected: tuple[Any, ...]) -> None:
    """Thousands of columns of one type; what is wrong in them is found in the time of a few reads."""
    lines = [",".join(rows.get(row, {}).get(at, "1") for at in range(3000)) for row in range(3)]
    path = tmp_path / "data.csv"
    path.write_text("\n".join([",".join(WIDE), *lines, ""]))
    with pytest.raises(BadFileError) as caught:
        read(str(path), Signature(tuple(Column(name, kind) for name in WIDE)))
    bad = caught.value.bad_file
    assert (bad.column, bad.row, bad.value) == expected


@pytest.mark.parametrize("kind", ["double", "float", "long"])
@pytest.mark.parametrize("order", [1, -1])
def test_wide_tables_that_are_fine(tmp_path: Path, kind: str, order: int) -> None:
    path = tmp_path / "data.csv"
    path.write_text("\n".join([",".join(WIDE), *[",".join("1" * 3000) + ","] * 2, ""]))
    frame = read(str(path), Signature(tuple(Column(name, kind) for name in WIDE[::order])))
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == WIDE[::order]
    assert set(map(str, frame.dtypes)) == {{"double": "float64", "float": "float32", "long": "int64"}[kind]}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", ["wide.csv", "wide.parquet"])
def test_work_on_wide_tables_grows_with_their_columns(tmp_path: Path, name: str, order: int) -> None:
    """Counted in calls of Python, which no busy machine adds to; `make bench WHAT=check` compares CPU times."""
    calls = [calls_of_read(tmp_path / name, columns, order) for columns in (1000, 2000)]
    assert calls[1] < 2.2 * calls[0]
    assert calls[0] < 120 * 1000  # of pandas' own there are 81 for each column


def calls_of_read(path: Path, count: int, order: int) -> int:
    """How many functions are called to read a table of so many columns."""
    columns = [f"gene_{at}" for at in range(count)]
    frame = pd.DataFrame({column: [0.5] * 5 for column in columns})
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    signature = Signature(tuple(Column(column, "float") for column in columns[::order]))
    read(str(path), signature)  # what is imported or kept once is not counted
    calls = 0

    def count_call(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count_call)
    try:
        read(str(path), signature)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("order", [1, -1])
def test_a_wide_table_is_one_array_in_any_order(tmp_path: Path, order: int) -> None:
    """pandas 3 reads each column into an array of its own: models and MLflow take longer with 20,000 of them."""
    path = tmp_path / "data.csv"
    path.write_text(f"{','.join(WIDE)}\n{','.join(map(str, range(3000)))}\n")
    frame = read(str(path), Signature(tuple(Column(name, "double") for name in WIDE[::order])))
    assert isinstance(frame, pd.DataFrame)
    assert frame.to_numpy().tolist() == [list(range(3000))[::order]]
    arrays = [frame.iloc[:, at].to_numpy().base for at in (0, 2999)]
    assert arrays[0] is arrays[1] is not None


def test_wide_tables_of_several_types(tmp_path: Path) -> None:
    """A text, a time and columns that nobody asks for among thousands of numbers, rows that are short or too long."""
    path = tmp_path / "data.csv"
    header = ["id", *WIDE[:2000], "day", *WIDE[2000:], "more"]
    row = ["007", *["1.5"] * 2000, "2024-01-31", *["2"] * 1000, "x"]
    columns = [Column("id", "string"), Column("day", "datetime"), *(Column(name, "float") for name in WIDE)]
    path.write_text("\n".join([",".join(header), ",".join(row), "", ",".join(row[:-2]), ""]))
    for ordered in (columns, [columns[0], *columns[2:2002], columns[1], *columns[2002:]]):
        frame = read(str(path), Signature(tuple(ordered)))
        assert isinstance(frame, pd.DataFrame)
        assert list(frame) == [column.name for column in ordered]
        assert frame["id"].tolist() == ["007", "007"]
        assert frame["day"].tolist() == [pd.Timestamp("2024-01-31")] * 2
        assert [str(frame[WIDE[at]].dtype) for at in (0, 2999)] == ["float32"] * 2
        assert frame[WIDE[2999]].isna().tolist() == [False, True]
    path.write_text("\n".join([",".join(header), ",".join(row), ",".join([*row, "x"]), ""]))
    with pytest.raises(BadFileError, match=r"row 1 \(line 3\): 3004 fields, the header has 3003"):
        read(str(path), Signature(tuple(columns)))


def test_names_of_columns_are_cut_and_escaped(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("\x1b[31mred," + "y" * 1000 + "\n1,2\n")
    with pytest.raises(BadFileError) as caught:
        read(str(path), of("double"))
    assert rf"the file has '\x1b[31mred', '{'y' * 60}...': add" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naïve 東京 😀", "naïve 東京 😀"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\u202eb\u200bc\x9bd\x7f", r"a\u202eb\u200bc\x9bd\x7f"),
        ("\udcff", r"\udcff"),
        ("line\r\nline", r"line\r\nline"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_lines_may_be_kept() -> None:
    assert printable("a\n\tb\x1b", "\n\t") == "a\n\tb\\x1b"


LARGE = 2**53 + 1


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([f"{LARGE}.0"], [LARGE]),
        (["1.0", str(LARGE)], [1, LARGE]),
        ([f"{LARGE}", "1e0", f"-{LARGE}."], [LARGE, 1, -LARGE]),
        ([f"{LARGE}0e-1", "9.007199254740993e15", f"+{LARGE}.00"], [LARGE] * 3),
        (["-9223372036854775808.0"], [-(2**63)]),
    ],
)
@pytest.mark.parametrize("more", [[], ["other"]])
def test_whole_numbers_written_as_floats_are_exact(
    tmp_path: Path, cells: list[str], expected: list[int], more: list[str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",".join(["x", *more]) + "\n" + "".join(",".join([cell, *more]) + "\n" for cell in cells))
    signature = Signature((Column("x", "long"), *(Column(name, "string") for name in more)))
    assert read(str(path), signature)["x"].tolist() == expected
    whole = read_many([str(path)] * 2, signature)
    assert whole is not None and whole[0]["x"].tolist() == expected * 2
    part = FilePart(
        path.read_text().index("\n") + 1, path.stat().st_size, 0, len(cells), 2, path.read_text().index("\n") + 1
    )
    assert csv_part.read(str(path), part, signature)["x"].tolist() == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("-9223372036854775809.0", f"'-9223372036854775809.0' is out of range; {{asks}}, {LONG_RANGE}"),
        ("9223372036854775808.0", f"'9223372036854775808.0' is out of range; {{asks}}, {LONG_RANGE}"),
        ("1e19", f"'1e19' is out of range; {{asks}}, {LONG_RANGE}"),
        (f"{LARGE}.5", f"invalid literal for int() with base 10: '{LARGE}.5'; {{asks}}"),
    ],
)
@pytest.mark.parametrize("rows", [1, 60_000])
def test_what_is_no_such_number_is_named(tmp_path: Path, cell: str, expected: str, rows: int) -> None:
    path = tmp_path / "x.csv"
    path.write_text("x\n" + "1\n" * rows + f"{cell}\n")
    with pytest.raises(BadFileError) as caught:
        read(str(path), of("long"))
    assert expected.replace("{asks}", "the model's signature asks for long here") in str(caught.value)
    assert (caught.value.bad_file.row, caught.value.bad_file.value) == (rows, cell)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("long", pa.array([1, 2**63], pa.uint64())),
        ("integer", pa.array([1, 2**32 - 1], pa.uint32())),
        ("long", pa.array(["1", str(2**63)])),
    ],
)
@pytest.mark.parametrize("way", ["parquet", "parquet without pyarrow"])
def test_numbers_without_a_sign_are_not_taken_for_negative_ones(
    tmp_path: Path, kind: str, values: pa.Array, way: str
) -> None:
    table, value = pa.table({"x": values}), str(values[1])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(BadFileError) as caught:
        if way == "parquet":
            read(str(tmp_path / "x.parquet"), of(kind))
        else:
            column = table.to_pandas()["x"]
            parquet_pandas._typed(
                "x", column.astype(object) if pa.types.is_string(values.type) else column, Column("x", kind)
            )
    assert f"'{value}' is out of range" in str(caught.value)
    assert caught.value.bad_file.row == 1
