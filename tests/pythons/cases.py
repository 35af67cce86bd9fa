"""Files and predictions -> what readers and writers of batchtwin_node make of them, as JSON on standard output.

Runs under the interpreters of old environments: `python cases.py PACKAGES FOLDER`. PACKAGES holds batchtwin_node,
FOLDER the files of `parquet_cases.py`; CSV files, images and scripts are written there.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import sys
import warnings
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator, Tuple

PACKAGES, FOLDER = sys.argv[1:3]
sys.path.append(PACKAGES)

import numpy as np
import pandas as pd

from batchtwin_node.errors import NodeError
from batchtwin_node.readers import read
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.readers.csv_batch import read_many, split_files
from batchtwin_node.readers.signature import Column, Signature, Tensor
from batchtwin_node.script.entry_script import check
from batchtwin_node.script.imports import imported_by
from batchtwin_node.script.lint import lint
from batchtwin_node.script.results import WrongTypeError, encode
from batchtwin_node.writers.predictions import image_lines, tabular_lines

Case = Tuple[str, Any]


def of(*columns: Any) -> Signature:
    return Signature(tuple(Column(*column) for column in columns))


def one(kind: str) -> Signature:
    return of(("x", kind))


def csv_of(*texts: object) -> str:
    return "n,x\n" + "".join(f"1,{text}\n" for text in texts)


CSV: dict[str, tuple[Any, Signature | None]] = {
    "long": (csv_of("1", " -2 ", "+3", "1.0"), one("long")),
    "long, extremes": (csv_of(2**63 - 1, -(2**63)), one("long")),
    "long, text": (csv_of("1", "abc"), one("long")),
    "long, fraction": (csv_of("1", "1.5"), one("long")),
    "long, missing": (csv_of("1", ""), one("long")),
    "long, too large": (csv_of("1", "2", str(2**63)), one("long")),
    "long, far too large": (csv_of("1", "9" * 30), one("long")),
    "long, boolean": (csv_of("True", "False"), one("long")),
    "long, other digits": (csv_of("1", "\u0663"), one("long")),
    "long, optional and empty": (csv_of("", ""), of(("n", "long"), ("x", "long", False))),
    "integer": (csv_of("1", str(-(2**31)), str(2**31 - 1)), one("integer")),
    "integer, too large": (csv_of("1", str(2**31), "2"), one("integer")),
    "integer, too small": (csv_of(str(-(2**31) - 1)), one("integer")),
    "integer, far too large": (csv_of("1", "9" * 30), one("integer")),
    "integer, text": (csv_of("1", "a"), one("integer")),
    "integer, missing": (csv_of("", "1"), one("integer")),
    "integer, optional and empty": (csv_of(""), of(("n", "long"), ("x", "integer", False))),
    "double": (csv_of("1", "2.5", "", "-inf", "1e300", "NA"), one("double")),
    "double, text": (csv_of("1", "1;5"), one("double")),
    "double, boolean": (csv_of("1", "True"), one("double")),
    "double, nothing but booleans": (csv_of("True", "True"), one("double")),
    "double, booleans and missing": (csv_of("True", ""), one("double")),
    "float": (csv_of("0.5", "", "inf", "-inf", "3.4e38", "0.1"), one("float")),
    "float, too large": (csv_of("1", "1e300"), one("float")),
    "float, text": (csv_of("x"), one("float")),
    "boolean": (csv_of("True", "false", "TRUE"), one("boolean")),
    "boolean, missing": (csv_of("True", "", "false"), one("boolean")),
    "boolean, text": (csv_of("True", "yes"), one("boolean")),
    "boolean, number": (csv_of("1", "0"), one("boolean")),
    "boolean, empty": (csv_of("", ""), one("boolean")),
    "boolean, optional and empty": (csv_of("", ""), of(("n", "long"), ("x", "boolean", False))),
    "string": (
        csv_of("007", "True", "1.50", "", "NA", '"a,b"', '"say ""hi"""', '"two\nlines"', "\u00e9"),
        one("string"),
    ),
    "datetime": (
        csv_of("2024-01-31", "2024-01-31 12:30:00.5", "", "2024-01-31T12:00:00+02:00", "2024-01-31T12:00Z"),
        one("datetime"),
    ),
    "datetime, shorter": (csv_of("2024", "2024-02", "20240131", "2024-1-3", "2024-01-31 12"), one("datetime")),
    "datetime, nanoseconds": (csv_of("2024-01-31 12:30:00.123456789", "2024-01-31T123000"), one("datetime")),
    "datetime, day first": (csv_of("2024-01-31", "31/01/2024"), one("datetime")),
    "datetime, dots": (csv_of("31.01.2024"), one("datetime")),
    "datetime, words": (csv_of("January 2024"), one("datetime")),
    "datetime, no such day": (csv_of("2024-02-30"), one("datetime")),
    "datetime, no such month": (csv_of("2024-13-01"), one("datetime")),
    "datetime, no such hour": (csv_of("2024-01-01 25:00"), one("datetime")),
    "datetime, out of range": (csv_of("3024-01-01"), one("datetime")),
    "datetime, number": (csv_of("17"), one("datetime")),
    "binary": (csv_of("abc", ""), one("binary")),
    "columns in the order of the signature": ("b,a,c\n1,2,3\n", of(("a", "long"), ("b", "double"))),
    "second column of one name": ("a,a\n1,x\n2,y\n", of(("a", "long"))),
    "missing column": ("a,b\n1,2\n", of(("a", "long"), ("c", "long"), ("d", "long"))),
    "header only": ("n,x\n", one("long")),
    "row too long": (csv_of("1", "2,3"), one("long")),
    "first row too long": (csv_of("1,2", "3"), one("long")),
    "row too short": ("n,x\n1,2\n1\n", one("double")),
    "not UTF-8": (b"n,x\n1,a\n1,\xff\n", one("string")),
    "blank lines": ("n,x\n\n1,2\n   \n1,z\n", one("long")),
    "carriage returns": ("n,x\r\n1,2\r\n1,3\r\n", one("long")),
    "byte order mark": ("\ufeffx,n\n1,2\n", one("long")),
    "empty fields at the end": ("n,x\n1,2,\n1,3,\n", one("long")),
    "no signature": ("a,b,c\n1,x,0.5\n2,,1\n", None),
    "array": ("a,b\n1,2\n3,4.5\n", Signature(tensors=(Tensor((-1, 2), "float32"),))),
    "array, wrong width": ("a,b,c\n1,2,3\n", Signature(tensors=(Tensor((-1, 2), "float64"),))),
    "columns by position": ("p,q,r\n1,2,3\n", Signature((Column("", "long"), Column("", "double")), named=False)),
}
PARQUET: dict[str, Signature | None] = {
    "longs": one("long"),
    "longs as integers": one("integer"),
    "longs too large": one("integer"),
    "longs as doubles": one("double"),
    "longs as text": one("string"),
    "missing longs": one("long"),
    "missing longs as doubles": one("double"),
    "doubles": one("double"),
    "doubles as longs": one("long"),
    "fractions as longs": one("long"),
    "NaN as long": one("long"),
    "doubles too large for floats": one("float"),
    "texts": one("string"),
    "large texts": one("string"),
    "texts as longs": one("long"),
    "other texts as longs": one("long"),
    "texts as times": one("datetime"),
    "other texts as times": one("datetime"),
    "categories": one("string"),
    "categories of numbers": one("double"),
    "booleans": one("boolean"),
    "missing booleans": one("boolean"),
    "booleans as longs": one("long"),
    "missing booleans as doubles": one("double"),
    "nothing but missing booleans": one("boolean"),
    "times": one("datetime"),
    "times in microseconds": one("datetime"),
    "times with a zone": one("datetime"),
    "days": one("datetime"),
    "decimals": one("double"),
    "bytes": one("binary"),
    "lists": one("any"),
    "empty": one("long"),
    "optional and empty": of(("n", "long"), ("x", "long", False)),
    "other names": of(("y", "long")),
    "no signature": None,
}


def plain(value: Any) -> Any:
    """A cell as text: the same for numpy's, pandas' and Arrow's kinds of missing values and of texts."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(element) for element in value]
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return "missing"
    if isinstance(value, np.generic):
        value = value.item()
    return f"{type(value).__name__} {value}"


def kind_of(dtype: object) -> str:
    return "text" if str(dtype) in ("object", "str", "string") else str(dtype)


def described(data: Any) -> Any:
    if isinstance(data, pd.DataFrame):
        columns = [
            [str(name), kind_of(kind), [plain(value) for value in data[name]]] for name, kind in data.dtypes.items()
        ]
        return {"index": [int(at) for at in data.index], "columns": columns}
    return {"shape": list(data.shape), "dtype": str(data.dtype), "values": data.reshape(-1).tolist()}


def reading(path: str, signature: Signature | None) -> Any:
    try:
        return described(read(path, signature))
    except BadFileError as error:
        bad = error.bad_file
        text = bad.message.replace(path, "FILE")
        return {"message": text, "column": bad.column, "row": bad.row, "line": bad.line, "value": bad.value}


def write(name: str, content: Any) -> str:
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())
    return path


def tables() -> Iterator[Case]:
    for name, (content, signature) in CSV.items():
        yield "csv: " + name, reading(write("case.csv", content), signature)
    for name, signature in PARQUET.items():
        yield "parquet: " + name, reading(os.path.join(FOLDER, name + ".parquet"), signature)
    yield "csv: gone", reading(os.path.join(FOLDER, "gone.csv"), one("long"))
    yield "parquet: gone", reading(os.path.join(FOLDER, "gone.parquet"), one("long"))
    yield "parquet: no such file", reading(write("case.parquet", "a,b\n1,2\n"), one("long"))
    paths = [write(f"{at}.csv", csv_of(*range(at + 1))) for at in range(3)]
    together = read_many(paths, of(("x", "integer"), ("n", "double")))
    assert together is not None
    yield "csv: together", [[os.path.basename(path), described(table)] for path, table in split_files(together)]
    too_large = [paths[0], write("3.csv", csv_of("1", str(2**31)))]
    yield "csv: together, too large", read_many(too_large, one("integer")) is None


def pictures() -> Iterator[Case]:
    from PIL import Image

    def saved(mode: str, name: str, **options: Any) -> str:
        size = (3, 2)
        bands = len(Image.new(mode, (1, 1)).getbands())
        count = size[0] * size[1] * bands
        if mode.startswith("I;16"):
            image = Image.frombytes(mode, size, np.arange(0, count * 999, 999, dtype="<u2").tobytes())
        elif mode in ("I", "F"):
            image = Image.fromarray(np.arange(count, dtype="int32" if mode == "I" else "float32").reshape(size[::-1]))
        elif mode == "1":
            image = Image.fromarray(np.arange(count, dtype="uint8").reshape(size[::-1]) * 40).point(
                lambda value: 255 * (value > 127), "1"
            )
        else:
            image = Image.frombytes(mode, size, bytes(range(0, count * 7, 7)))
        if mode == "P":
            image.putpalette([at % 256 for at in range(768)])
        stream = io.BytesIO()
        image.save(stream, os.path.splitext(name)[1][1:], **options)
        return write(name, stream.getvalue())

    def tensor(shape: tuple[int, ...], kind: str = "uint8") -> Signature:
        return Signature(tensors=(Tensor(shape, kind),))

    grey, colour = tensor((-1, 2, 3, 1)), tensor((-1, 2, 3, 3), "float32")
    for mode, ending in (
        ("L", "png"), ("LA", "png"), ("RGB", "png"), ("RGBA", "png"), ("P", "png"), ("1", "png"), ("I;16", "png"),
        ("I;16", "tiff"), ("I", "tiff"), ("F", "tiff"), ("RGB", "bmp"), ("P", "gif"), ("RGB", "tiff"), ("CMYK", "tiff"),
    ):  # fmt: skip
        path = saved(mode, "case." + ending)
        for name, signature in (
            ("none", None),
            ("grey", grey),
            ("colour", colour),
            ("deep", tensor((-1, 2, 3, 1), "float64")),
        ):
            yield f"image: {mode} {ending}, {name}", reading(path, signature)
    path = saved("RGB", "case.png")
    for name, signature in (
        ("channels first", tensor((-1, 3, 2, 3))),
        ("flat", tensor((-1, 18))),
        ("no batch", tensor((2, 3, 3))),
        ("any size", tensor((-1, -1, -1, 3))),
        ("another size", tensor((-1, 5, 5, 3))),
        ("mixed up", tensor((-1, 3, 2, 3), "int64")),
        ("table", one("long")),
    ):
        yield "image: " + name, reading(path, signature)
    yield "image: transparent palette", reading(saved("P", "case.png", transparency=3), colour)
    yield "image: broken", reading(write("case.png", b"\x89PNG\r\n\x1a\n and no more"), None)
    yield "image: not an image", reading(write("case.jpg", b"nothing"), None)


NUMBERS = [0.1, 1.0, -0.0, 1e9, 999999999.9, 1e14 / 3, 1e-4, 9.99e-5, 1e15, 1e16, 5e-324, 1e22, -1e-5, 123456.75]
NUMBERS += [float("nan"), float("inf"), -float("inf"), 2 / 3, 1e6, 1e7 / 3, 16777217.0, 3.4e38]

# numpy has changed how it writes floats of 32 bits from a million on.
FLOATS = [0.1, 1.0, -0.0, 999999.9, 1e-4, 9.99e-5, -1e-5, float("nan"), 2 / 3, 123456.75, float("inf")]


def predictions() -> Iterator[Case]:
    yield "doubles", np.array(NUMBERS)
    yield "floats", np.array(FLOATS, dtype="float32")
    yield "halves", np.array([0.1, 1.0, 655.0, float("nan")], dtype="float16")
    yield "big endian", np.array([1.5, 2], dtype=">f8")
    yield "integers", np.array([0, -1, 2**62])
    yield "bytes", np.array([0, 255], dtype="uint8")
    yield "unsigned", np.array([2**64 - 1], dtype="uint64")
    yield "booleans", np.array([True, False])
    yield "texts", np.array(["a", "b,c", 'say "hi"', "two\nlines", "cr\rhere", "", " x ", "\u00e9\U0001f600"])
    yield "complex", np.array([1 + 2j])
    yield "days", np.array(["2024-01-01", "NaT"], dtype="datetime64[D]")
    yield "nanoseconds", np.array(["2024-01-01T12:30:00.000000001"], dtype="datetime64[ns]")
    yield "spans", np.array([90], dtype="timedelta64[m]")
    yield "objects", np.array([["a"], [None]], dtype=object)
    yield "one column", np.array([[0.5], [1]])
    yield "matrix of doubles", np.array(NUMBERS[:20]).reshape(5, 4)
    yield "matrix of floats", np.array(FLOATS[:8], dtype="float32").reshape(2, 4)
    yield "matrix of integers", np.arange(6).reshape(2, 3)
    yield "matrix of booleans", np.array([[True, False]])
    yield "matrix of texts", np.array([["a", 'b"c']])
    yield "deep", np.arange(8).reshape(2, 2, 2)
    yield "deep floats", np.array([[[0.5, np.nan]]], dtype="float32")
    yield "no columns", np.zeros((2, 0))
    yield "nothing", np.array([])
    yield "record", np.array([(1, "x")], dtype=[("a", int), ("b", "U1")])
    yield "list of integers", [1, 2]
    yield "list of many kinds", [1, 2.5, True, None, "a", pd.NA, pd.NaT, Decimal("1.50"), 2**80, date(2024, 1, 1)]
    yield "list of floats", [np.float32(0.1), np.float32(2)]
    yield "list of lists", [[1, 2], [3]]
    yield "list of arrays", [np.array([1, 2]), np.array([3])]
    yield "list of dicts", [{"label": "\u00e9", "score": np.float32(0.1), 1: (1, {2})}, {"a": None, "b": float("inf")}]
    yield "list of tables", [pd.DataFrame({"a": [1]})]
    yield "times in a list", [datetime(2024, 1, 1, 12, 30), datetime(2024, 1, 1, tzinfo=timezone.utc)]
    yield (
        "in a list in a list",
        [[datetime(2024, 1, 1), Decimal("1.5"), pd.NaT, np.array(3), np.bool_(True), np.int8(3)]],
    )
    yield "one text", "one text"
    yield "none", None
    yield "dict of lists", {"label": ["a", "b"], "score": np.array([0.5, 1])}
    yield "dict of arrays", {"logits": np.array([[1, 2], [3, 4]])}
    yield "another dict", {"a": [1, 2], "b": [1]}
    yield "series", pd.Series([1.5, 2.5], index=[7, 7])
    yield "series with missing", pd.Series([1, None], dtype="Int64")
    yield "categories", pd.Series(["x", "y"], dtype="category")
    yield "index", pd.Index([3, 4])
    yield "table", pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, np.nan], "d": [True, False]}, index=[3, 3])
    yield "table of floats", pd.DataFrame({"a": np.array([0.1, 1e-7, 2], dtype="float32"), "b,c": [1e16, 1e-5, 3]})
    yield "table with missing", pd.DataFrame({"a": pd.array([1, None], dtype="Int64")})
    yield "table of times", pd.DataFrame({"t": np.array(["2024-01-01", "2024-01-02T03:04:05"], dtype="datetime64[ns]")})
    yield "table of twins", pd.DataFrame([[1, 2]], columns=["a", "a"])
    yield "table with other names", pd.DataFrame([[1, 2]], columns=[0, ("x", "y")])
    yield "table without columns", pd.DataFrame(index=range(2))


def writing() -> Iterator[Case]:
    for name, value in predictions():
        for way, lines in (("rows", tabular_lines), ("image", image_lines)):
            for file in ("a.csv", 'b, "c".csv'):
                yield f"{way}: {name}, {file}", lines(value, file).data.decode()


def results() -> Iterator[Case]:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "two words"], "c": [0.1, np.nan], "d": [True, None]})
    for name, value in (("table", table), ("list", [1, "a", 0.1, None]), ("tuple", ("a",)), ("empty", [])):
        encoded = encode(value, 2, True)
        yield "result: " + name, [encoded.data.decode(), encoded.rows, encoded.succeeded, encoded.failed]
    wrong: list[Any] = [None, "text", np.zeros(2), pd.Series([1])]
    for result in wrong:
        try:
            encode(result, 1, True)
        except WrongTypeError as error:
            yield "result: " + type(result).__name__, str(error)


SCRIPTS = {
    "fine": "import json\ndef init():\n    global x\n    x = 1\ndef run(batch, /, *, more=()):\n    return [x]\n",
    "no run": "def init():\n    pass\n",
    "two arguments": "def run(a, b):\n    return []\n",
    "init with an argument": "def init(a):\n    pass\ndef run(a):\n    return []\n",
    "a lambda": "run = lambda batch: []\n",
    "in an if": "if True:\n    def run(batch):\n        return []\n",
    "imported": "from json import loads as run\n",
    "all of a module": "from json import *\n",
    "syntax error": "def run(batch):\n    return [\n",
    "lost name": "def init():\n    model = 1\ndef run(batch):\n    return [model]\n",
    "a generator": "def run(batch):\n    for file in batch:\n        yield file\n",
    "no such function": "import mlflow\ndef init():\n    mlflow.pyfunc.load('m')\ndef run(b):\n    return b[0:1]\n",
    "local before its assignment": "n = 0\ndef run(batch):\n    n = n + 1\n    return [n]\n",
    "imports": "import json, csv as c\nfrom decimal import Decimal\nimport nowhere\ndef run(batch):\n    return []\n",
}


def scripts() -> Iterator[Case]:
    for name, text in SCRIPTS.items():
        path = Path(write("script.py", text))
        try:
            check(path.parent, path.name)
        except NodeError as error:
            yield f"script: {name}", re.sub(r"error: .*", "error", str(error).replace(str(path), "FILE"))
        else:
            lines = [line.replace(str(path), "FILE") for line in lint(path)]
            yield f"script: {name}", [lines, imported_by(path.parent, path.name)]


def main() -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("error", FutureWarning)
    found: dict[str, Any] = {}
    for part in (tables, pictures, writing, results, scripts):
        for name, value in part():
            found[name] = value
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
