"""Section 6: models whose type hints, column names or counts are not those of a plain table."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import run_code
from support import DEADLINE, Finished, Project, batchtwin, warm

CODE = {
    "record": """
        import datetime, json
        from typing import Optional
        import mlflow, pydantic

        class Record(pydantic.BaseModel):
            name: str
            n: int
            x: float
            count: Optional[int] = None
            ok: Optional[bool] = None
            at: Optional[datetime.datetime] = None
            tags: Optional[list[str]] = None

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, model_input: list[Record], params=None):
                return [record.model_dump_json() for record in model_input]

        mlflow.models.set_model(Model())
    """,
    "texts": """
        import mlflow

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, model_input: list[str], params=None):
                return [text.upper() for text in model_input]

        mlflow.models.set_model(Model())
    """,
    "numbered": """
        import mlflow

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return model_input[0] + 10 * model_input[1] + 100 * model_input[2]

        mlflow.models.set_model(Model())
    """,
    "nested": """
        import mlflow

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return [sum(values) for values in model_input["values"]]

        mlflow.models.set_model(Model())
    """,
    "tensor": """
        import mlflow

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return model_input["t"].sum(axis=1)

        mlflow.models.set_model(Model())
    """,
    "values": """
        import datetime
        import mlflow
        import numpy as np
        import pandas as pd

        DAY = datetime.datetime(2024, 1, 31, 12, 30)

        class Tensor:
            def __init__(self, has_gradient=True):
                self.has_gradient = has_gradient
            def detach(self):
                return Tensor(has_gradient=False)
            def cpu(self):
                return self
            def numpy(self):
                if self.has_gradient:
                    raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
                return np.array([0.5])
            def __array__(self, dtype=None, copy=None):
                return self.numpy()

        ANSWERS = {
            "masked": lambda: np.ma.MaskedArray([1, 999999], mask=[False, True]),
            "rows": lambda: np.ma.MaskedArray([[1, 999999], [3, 4]], mask=[[False, True], [False, False]]),
            "surrogate": lambda: ["a\\ud800"],
            "tensor": Tensor,
            "time": lambda: [DAY],
            "times": lambda: pd.Series([DAY]),
            "table": lambda: pd.DataFrame({"t": [DAY]}),
            "list": lambda: [[DAY, np.datetime64(DAY), pd.Timestamp(DAY), DAY.date(), datetime.timedelta(hours=1)]],
        }

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return ANSWERS[model_input["kind"][0]]()

        mlflow.models.set_model(Model())
    """,
    "counts": """
        import mlflow
        import numpy as np

        ANSWERS = {
            "dropped": lambda data: data["n"][data["n"] != 2],
            "doubled": lambda data: np.repeat(data["n"].to_numpy(), 2),
            "mixed": lambda data: {"n": data["n"].to_numpy(), "version": 3},
            "same": lambda data: data["n"],
        }

        class Model(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                if "fails" in set(model_input["kind"]):
                    raise RuntimeError("no good")
                return ANSWERS[model_input["kind"][0]](model_input)

        mlflow.models.set_model(Model())
    """,
}
SAVE = """
    import json, sys
    from pathlib import Path
    import mlflow, numpy as np, pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Map, Object, Property, Schema, TensorSpec

    root = Path(sys.argv[1])
    place = Object([Property("city", DataType.string)])
    schemas = {
        "numbered": [ColSpec("double", name) for name in (0, 1, 2)],
        "nested": [
            ColSpec(Array(DataType.double), "values"),
            ColSpec(Map(DataType.long), "map"),
            ColSpec(place, "place", required=False),
        ],
        "tensor": [TensorSpec(np.dtype("float64"), (-1, 2), "t")],
    }
    for path in root.glob("*.py"):
        schema = schemas.get(path.stem)
        options = {"signature": ModelSignature(Schema(schema))} if schema else {}
        mlflow.pyfunc.save_model(root / path.stem / "model", python_model=path, pip_requirements=[], **options)
    wide = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    expected = {"numbered": mlflow.pyfunc.load_model(str(root / "numbered/model")).predict(wide).tolist()}
    for name in ("record", "texts"):
        model = mlflow.pyfunc.load_model(str(root / name / "model"))
        for path in sorted((root / name).glob("files/*")):
            read = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
            expected[f"{name}/{path.name}"] = model.predict(read(path))
    (root / "expected.json").write_text(json.dumps(expected))
"""
DAY = datetime(2024, 1, 31)
# What MLflow itself takes.
RECORDS: dict[str, str | pa.Table] = {
    "plain.csv": "x,name,n,extra\n1,a,9007199254740993,zz\n0.5,é,-2,zz\n",
    "table.parquet": pa.table({"name": ["007", "b"], "n": [1, 2], "x": [0.5, 1.0], "tags": [["q", "r"], None]}),
}
TEXTS: dict[str, str | pa.Table] = {"one.csv": "t\na\nb\n", "two.csv": "n,t\n1,a\n2,b\n"}
# What it takes only of a table that is typed as the fields are.
TYPED: dict[str, str | pa.Table] = {
    "optional.csv": "name,n,x,count,ok,at,tags\n007,1,2,3,True,2024-01-31,\nb,2,3,,,,\n",
    "optional.parquet": pa.table(
        {"name": ["a", "b"], "n": [1, 2], "x": [1, 2], "count": [None, 3], "ok": [None, True], "at": [None, DAY]}
    ),
}
BAD_RECORDS: dict[str, str | pa.Table] = {
    "field.csv": "name,n\na,1\n",
    "list.csv": "name,n,x,tags\na,1,2,\nb,2,3,hello\n",
    "list.parquet": pa.table({"name": ["a", "b"], "n": [1, 2], "x": [1.0, 2.0], "tags": [["q"], [None]]}),
    "missing.csv": "name,n,x\na,1,2\nb,2,\n",
    "number.csv": "name,n,x\na,1,2\nb,1.5,3\n",
    "optional-number.csv": "name,n,x,count\na,1,2,\nb,1,3,1.5\n",
}
ELSEWHERE = "of-another-row"
Score = Callable[..., Finished]


def write(folder: Path, files: dict[str, str | pa.Table]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in files.items():
        if isinstance(content, pa.Table):
            pq.write_table(content, folder / name)
        else:
            (folder / name).write_text(content)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models by name, and expected.json: what MLflow itself predicts. Made by another process."""
    root = tmp_path_factory.mktemp("models")
    for name, code in CODE.items():
        (root / f"{name}.py").write_text(textwrap.dedent(code))
    write(root / "record/files", RECORDS)
    write(root / "texts/files", TEXTS)
    run_code(textwrap.dedent(SAVE), [root], root, DEADLINE)
    return root


@pytest.fixture(scope="session")
def score(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Score:
    """Score files, by name, with a model."""

    def run(model: str, files: dict[str, str | pa.Table], *words: str, **settings: Any) -> Finished:
        project = Project(tmp_path_factory.mktemp(model) / "project", model=models / model / "model", settings=settings)
        write(project.inputs, files)
        return project.score("--workers", "1", *words, env=warm())

    return run


def predictions(done: Finished, name: str) -> list[str]:
    """The predictions of one file, as a CSV reader sees them."""
    return [row[1] for row in csv.reader(io.StringIO(done.predictions)) if row[2] == name]


@pytest.fixture(scope="session")
def expected(models: Path) -> dict[str, Any]:
    """What MLflow itself predicts."""
    expected: dict[str, Any] = json.loads((models / "expected.json").read_text())
    return expected


@pytest.fixture(scope="session")
def records(score: Score) -> Finished:
    """Files for a model that takes records, good ones and bad ones."""
    return score("record", RECORDS | TYPED | BAD_RECORDS, "--bad-files", "quarantine", mini_batch_size=20)


@pytest.mark.ours("6", "A model whose type hint is a list of pydantic models gets whole tables, as MLflow gives them.")
@pytest.mark.parametrize("name", RECORDS)
def test_records(records: Finished, expected: dict[str, Any], name: str) -> None:
    assert records.code == 0, records.err
    assert predictions(records, name) == expected[f"record/{name}"]
    assert len(expected[f"record/{name}"]) > 0


@pytest.mark.ours("6", "Columns get the types of a type hint's fields: 007 is a text; a missing optional one is None.")
def test_types_of_fields(records: Finished) -> None:
    first, second = (json.loads(text) for text in predictions(records, "optional.csv"))
    day = {"ok": True, "at": "2024-01-31T00:00:00"}
    assert first == {"name": "007", "n": 1, "x": 2.0, "count": 3, **day, "tags": None}
    assert second == {"name": "b", "n": 2, "x": 3.0, "count": None, "ok": None, "at": None, "tags": None}
    of_parquet = [json.loads(text) for text in predictions(records, "optional.parquet")]
    assert [(row["count"], row["ok"], row["at"]) for row in of_parquet] == [(None, None, None), (3, *day.values())]


@pytest.mark.ours("6", "Data that a type hint refuses are bad files: one line, with column, row and the one value.")
@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("field.csv", {"column": "x"}, "the column is missing"),
        ("list.csv", {"column": "tags", "row": 1, "line": 3, "value": "hello"}, "should be a valid list: 'hello'"),
        ("list.parquet", {"column": "tags", "row": 1, "value": "[None]"}, "should be a valid string: '[None]'"),
        ("missing.csv", {"column": "x", "row": 1, "line": 3}, "the value is missing"),
        ("number.csv", {"column": "n", "row": 1, "line": 3, "value": "1.5"}, "'1.5'"),
        ("optional-number.csv", {"column": "count", "row": 1, "line": 3, "value": "1.5"}, "'1.5'"),
    ],
)
def test_bad_records(records: Finished, name: str, known: dict[str, Any], text: str) -> None:
    [record] = (record for record in records.failures if record["file"].endswith(f"/{name}"))
    assert (record["kind"], record["attempts"]) == ("bad_file", 1)
    assert text in record["message"]
    assert {key: record[key] for key in ("column", "row", "line", "value") if key in record} == known
    assert f"{len(RECORDS | TYPED)} succeeded, {len(BAD_RECORDS)} failed." in records.out


@pytest.mark.ours("6", "A type hint such as list[str] gets one column, the one that MLflow takes; a warning says so.")
def test_one_column(score: Score, expected: dict[str, Any]) -> None:
    done = score("texts", {**TEXTS, "seven.csv": "t\n007\n"})
    assert done.code == 0, done.err
    assert [predictions(done, name) for name in TEXTS] == [expected[f"texts/{name}"] for name in TEXTS]
    assert predictions(done, "seven.csv") == ["007"]
    assert done.err.count("MLflow passes only one column of a table") == 1


@pytest.mark.ours("6", "Column names that are numbers are texts in files; the model gets the numbers, in any order.")
def test_numbers_as_names(score: Score, expected: dict[str, Any]) -> None:
    columns = {"2": [2.0, 5.0], "0": [0.0, 3.0], "1": [1.0, 4.0]}
    files: dict[str, str | pa.Table] = {
        "ordered.csv": "0,1,2\n0,1,2\n3,4,5\n",
        "other.csv": "2,more,0,1\n2,9,0,1\n5,9,3,4\n",
        "table.parquet": pa.table(columns),
        "bad.csv": "0,2\n1,1\n",
        "value.csv": "0,1,2\n1,x,1\n",
    }
    done = score("numbered", files, "--bad-files", "quarantine", mini_batch_size=2)
    assert done.code == 0, done.err
    for name in ("ordered.csv", "other.csv", "table.parquet"):
        assert [float(text) for text in predictions(done, name)] == expected["numbered"] == [210.0, 543.0]
    assert [record["column"] for record in done.failures] == ["1", "1"]
    assert "missing column '1'; the file has '0', '2'" in done.failures[0]["message"]


def nested(**columns: Any) -> pa.Table:
    """Two rows of nested columns; the second one's values can be told in messages from the first one's."""
    rows = {"values": [[1.0, 2.0], [3.0]], "map": [{"a": 1}, {"a": 2}], "place": [{"city": ELSEWHERE}, None], **columns}
    return pa.table(rows)


BAD_NESTED: dict[str, tuple[str | pa.Table, dict[str, Any]]] = {
    "list.parquet": (nested(values=[[1.0], None]), {"column": "values", "row": 1}),
    "map.parquet": (nested(map=[{"a": 1}, {"a": 1.5}]), {"column": "map", "row": 0}),
    "object.parquet": (nested(place=[{"city": ELSEWHERE, "z": 1}, None]), {"column": "place", "row": 0}),
    "text.csv": ('values,map\n"[1, 2]",{}\n', {"column": "values", "row": 0, "line": 2}),
}


@pytest.mark.ours("6", "Nested values that the signature refuses are bad files: one line, with column, row and value.")
def test_nested_columns(score: Score) -> None:
    files = {name: content for name, (content, _) in BAD_NESTED.items()} | {"good.parquet": nested()}
    done = score("nested", files, "--bad-files", "quarantine", mini_batch_size=10)
    assert done.code == 0, done.err
    assert predictions(done, "good.parquet") == ["3.0", "3.0"]
    places = {Path(record["file"]).name: record for record in done.failures}
    assert {name: known for name, (_, known) in BAD_NESTED.items()} == {
        name: {key: record[key] for key in ("column", "row", "line") if key in record}
        for name, record in places.items()
    }
    assert all(record["kind"] == "bad_file" and "\n" not in record["message"] for record in done.failures)
    others = [record["message"] for name, record in places.items() if name != "object.parquet"]
    assert ELSEWHERE not in "".join(others) + done.err


@pytest.mark.ours("6", "Such a value fails the job without retry, and no row of data is on the console but the value.")
def test_nested_value_fails_the_job(score: Score) -> None:
    done = score("nested", {"bad.parquet": BAD_NESTED["list.parquet"][0]})
    assert done.code == 1
    text = "column 'values', row 1: the value is missing; the model's signature asks for Array(double"
    assert done.err.count(text) == 1
    assert ELSEWHERE not in done.err + done.out + done.log("**/*.txt")
    assert "Traceback" not in done.err + done.out
    [record] = done.failures
    assert (record["kind"], record["attempts"], record["row"]) == ("bad_file", 1, 1)


@pytest.mark.ours("6", "Arrays that do not fit the model's tensor fail the job in the same way.")
def test_tensors(score: Score) -> None:
    files: dict[str, str | pa.Table] = {
        "good.parquet": pa.table({"t": [[1.0, 2.0], [3.0, 4.0]]}),
        "long.parquet": pa.table({"t": [[1.0, 2.0], [1.0, 2.0, 3.0]]}),
        "scalar.csv": "t\n1\n",
    }
    done = score("tensor", files, "--bad-files", "quarantine", mini_batch_size=3)
    assert done.code == 0, done.err
    assert predictions(done, "good.parquet") == ["3.0", "7.0"]
    assert [(record["column"], record["row"]) for record in done.failures] == [("t", 1), ("t", 0)]
    assert "the model's signature asks for a value of shape (2,) of float64 here" in done.failures[0]["message"]


VALUES = {
    "masked": ["1", "nan"],
    "rows": ["[1, null]", "[3, 4]"],
    "surrogate": ["a\\ud800"],
    "tensor": ["0.5"],
    "time": ["2024-01-31T12:30:00"],
    "times": ["2024-01-31T12:30:00"],
    "table": ['{"t": "2024-01-31T12:30:00"}'],
    "list": [json.dumps(["2024-01-31T12:30:00"] * 3 + ["2024-01-31", "P0DT1H0M0S"])],
}


@pytest.fixture(scope="session")
def values(score: Score) -> Finished:
    """Predictions of values that are written in a way of their own."""
    files: dict[str, str | pa.Table] = {
        f"{kind}.csv": "kind\n" + f"{kind}\n" * len(texts) for kind, texts in VALUES.items()
    }
    return score("values", files, mini_batch_size=len(VALUES))


def written(done: Finished, kinds: set[str]) -> dict[str, list[str]]:
    assert done.code == 0, done.err
    return {kind: predictions(done, f"{kind}.csv") for kind in kinds}


@pytest.mark.ours(
    "6",
    "Times are ISO 8601, `2024-01-31T12:30:00`, as scalars and in JSON, with digits of a second where there are some; "
    "durations are too, `P0DT1H0M0S`.",
)
def test_times(values: Finished) -> None:
    kinds = {"time", "times", "table", "list"}
    assert written(values, kinds) == {kind: VALUES[kind] for kind in kinds}


@pytest.mark.ours("6", "Masked values are missing ones: `nan`, or `null` in JSON.")
def test_masked(values: Finished) -> None:
    assert written(values, {"masked", "rows"}) == {kind: VALUES[kind] for kind in ("masked", "rows")}


@pytest.mark.ours("6", "A tensor gives its numbers, one that requires a gradient too.")
def test_tensor_predictions(values: Finished) -> None:
    assert written(values, {"tensor"}) == {"tensor": VALUES["tensor"]}


@pytest.mark.ours("6", "Half of a surrogate pair, which UTF-8 does not have, is written as its escape, `\\ud800`.")
def test_surrogates(values: Finished) -> None:
    assert written(values, {"surrogate"}) == {"surrogate": VALUES["surrogate"]}


COUNTS: dict[str, str | pa.Table] = {
    f"{kind}.csv": f"n,kind\n1,{kind}\n2,{kind}\n3,{kind}\n" for kind in ("doubled", "dropped", "mixed", "same")
}
DIFFERENT = {"doubled.csv": (3, 6), "dropped.csv": (3, 2), "mixed.csv": (3, 1)}


@pytest.mark.ours(
    "6", "Rows out that differ from rows in are a warning for each file; manifest and verify have it too."
)
@pytest.mark.parametrize("words", [(), ("--coalesce",)])
def test_counts(score: Score, words: tuple[str, ...]) -> None:
    done = score("counts", COUNTS, *words, mini_batch_size=2)
    assert done.code == 0, done.err
    verified = batchtwin("verify", done.output)
    assert verified.code == 0, verified.err
    for name, (rows_in, rows_out) in DIFFERENT.items():
        for text in (done.err, verified.err):
            assert text.count(f"/{name}: {rows_in} rows in, {rows_out} rows out") == 1
    assert "same.csv" not in done.err + verified.err
    inputs = json.loads((done.output / "manifest.json").read_text())["inputs"]
    counted = {Path(entry["path"]).name: (entry["rows_in"], entry["rows_out"]) for entry in inputs}
    assert counted == {**DIFFERENT, "same.csv": (3, 3)}
    assert predictions(done, "same.csv") == ["1", "2", "3"]
    assert predictions(done, "dropped.csv") == ["1", "3"]


@pytest.mark.ours("6", "Of many files whose counts differ the first are named, and the number of the others.")
def test_many_counts(score: Score) -> None:
    files: dict[str, str | pa.Table] = {f"{number:02}.csv": "n,kind\n2,dropped\n" for number in range(14)}
    done = score("counts", files, mini_batch_size=5)
    assert done.err.count(" 1 rows in, 0 rows out") == 10
    assert "and 4 more files whose rows out differ from rows in" in done.err


@pytest.mark.ours("6", "predict() that raises names its file; the other files of the mini-batch fail because of it.")
@pytest.mark.parametrize("words", [(), ("--coalesce",)])
def test_the_file_that_fails(score: Score, words: tuple[str, ...]) -> None:
    files = {"a.csv": COUNTS["same.csv"], "b.csv": "n,kind\n1,fails\n", "c.csv": COUNTS["same.csv"]}
    done = score("counts", {**files, "d.csv": COUNTS["same.csv"]}, *words, mini_batch_size=3)
    assert done.code == 0, done.err
    first, failed, last = done.failures
    assert failed["file"].endswith("/b.csv")
    assert "RuntimeError: no good" in failed["message"]
    assert "because_of" not in failed
    assert [Path(record["file"]).name for record in (first, last)] == ["a.csv", "c.csv"]
    assert {record["because_of"] for record in (first, last)} == {failed["file"]}
    assert "no good" not in first["message"]
    [line] = (line for line in done.err.splitlines() if line.startswith("First failure: "))
    assert "/b.csv, try 1)" in line
    assert "/b.csv)" in done.log("user/error.txt")
    assert "batchtwin_node" not in done.log("user/error/*/*.txt").partition("mlflow/pyfunc")[0]
