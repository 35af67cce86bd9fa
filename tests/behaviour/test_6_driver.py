"""Section 6: the MLflow driver on tables."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import run_code
from report_page import Page
from support import DEADLINE, Finished, Project, batchtwin, warm

ANSWER = """
    import mlflow
    import numpy as np
    import pandas as pd

    ANSWERS = {
        "numbers": lambda n: np.arange(n) / 4,
        "pairs": lambda n: np.tile([0.25, 0.75], (n, 1)),
        "texts": lambda n: ["plain", 'with, comma and "quote"', "two\\nlines"][:n],
        "frame": lambda n: pd.DataFrame({"label": ["yes"] * n, "score": [0.5] * n}),
        "missing": lambda n: np.array([[float("nan")], [1]])[:n],
    }

    class Answer(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            print("predict called with", len(model_input), "rows")
            return ANSWERS[model_input["kind"][0]](len(model_input))

    mlflow.models.set_model(Answer())
"""
ADD = """
    import mlflow

    class Add(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            assert [str(kind) for kind in model_input.dtypes[["n", "x"]]] == ["int64", "float64"]
            assert set(model_input) - {"n", "x", "s"} <= {"o"}
            return model_input["n"] + model_input["x"] + model_input["s"].str.len()

    mlflow.models.set_model(Add())
"""
SAVE = """
    import sys
    from pathlib import Path
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    root = Path(sys.argv[1])
    columns = [ColSpec("long", "n"), ColSpec("double", "x"), ColSpec("string", "s")]
    optional = ColSpec("long", "o", required=False)
    signatures = {"add": ModelSignature(Schema([*columns, optional])), "answer": None}
    for name, signature in signatures.items():
        options = {"signature": signature, "pip_requirements": ["pandas"]}
        mlflow.pyfunc.save_model(root / name, python_model=root / f"{name}.py", **options)
    model = mlflow.pyfunc.load_model(str(root / "add"))
    with open(root / "plain.txt", "w") as file:
        print(*model.predict(pd.read_csv(root / "plain.csv")), file=file)
"""
PLAIN = "n,x,s,z\n1,0.5,a,8\n2,1e-05,bb,9\n3,-2.25,NAN,9\n"
Score = Callable[..., Finished]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models, `add` (with a signature) and `answer`, made by another process: mlflow warns."""
    root = tmp_path_factory.mktemp("models")
    for name, code in {"add": ADD, "answer": ANSWER}.items():
        (root / f"{name}.py").write_text(textwrap.dedent(code))
    (root / "plain.csv").write_text(PLAIN)
    run_code(textwrap.dedent(SAVE), [root], root, DEADLINE)
    return root


@pytest.fixture(scope="session")
def score(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Score:
    """Score files, by name, with a model; `pa.Table` values are written as Parquet."""

    def run(model: str, files: dict[str, str | bytes | pa.Table], *words: str, **settings: Any) -> Finished:
        project = Project(tmp_path_factory.mktemp(model) / "project", model=models / model, settings=settings)
        for name, content in files.items():
            path = project.inputs / name
            if isinstance(content, pa.Table):
                pq.write_table(content, path)
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return project.score("--workers", "1", *words, env=warm())

    return run


def rows(done: Finished, name: str) -> list[list[str]]:
    """The output lines of one file, as a CSV reader sees them, without the file's name."""
    return [row[:2] for row in csv.reader(io.StringIO(done.predictions)) if row[2] == name]


@pytest.fixture(scope="session")
def added(score: Score) -> Finished:
    """The files that the model with a signature takes."""
    columns = {"s": ["a", "bb"], "x": pa.array([1, 2], pa.int32()), "n": pa.array([1, 2], pa.int16()), "z": [0, 0]}
    table = pa.table({**columns, "s": pa.array(columns["s"]).dictionary_encode()})
    return score(
        "add",
        {
            "bom.csv": b"\xef\xbb\xbfn,x,s\r\n1,2,a\r\n",
            "empty-optional.csv": "n,x,s,o\n1,2,a,\n2,3,b,NA\n",
            "header.csv": "n,x,s\n",
            'here, "there".csv': "n,x,s\n1,2,a\n",
            "plain.csv": PLAIN,
            "table.parquet": table,
            "table.PQT": table,
            "whole.CSV": "n,x,s\n\n1,2,007\n",
        },
        mini_batch_size=3,
        error_threshold=0,
    )


@pytest.mark.documented(
    "6", "The driver writes one line per row, `row,prediction,file_name`, row counting from 0 in each file."
)
def test_lines(added: Finished) -> None:
    assert added.code == 0, added.err
    assert "0,2.5,plain.csv\n1,4.00001,plain.csv\n" in added.predictions
    assert added.predictions.count("\n") == 12


@pytest.mark.on_ray
@pytest.mark.ours("6", "The driver scores as `mlflow.pyfunc.load_model(m).predict(pandas.read_csv(f))` does.")
def test_same_as_mlflow(added: Finished, models: Path) -> None:
    expected = (models / "plain.txt").read_text().split()
    read_back = pd.read_csv(models / "plain.csv")
    assert [value for _, value in rows(added, "plain.csv")] == expected
    assert len(expected) == len(read_back)


@pytest.mark.documented("6", "`.csv`, `.parquet` and `.pqt` are tables; the case of the ending does not matter.")
def test_endings(added: Finished) -> None:
    assert rows(added, "table.parquet") == rows(added, "table.PQT") == [["0", "3.0"], ["1", "6.0"]]
    assert rows(added, "whole.CSV") == [["0", "6.0"]]


@pytest.mark.documented(
    "6", "The signature types columns while they are read: 1 is a double, 007 a string, if it says so."
)
def test_types(added: Finished) -> None:
    assert rows(added, "whole.CSV") == [["0", "6.0"]], "the model checks the types itself"
    assert rows(added, "bom.csv") == [["0", "4.0"]]


@pytest.mark.observed("6", "Columns that the signature does not name are dropped.")
def test_extra_columns(added: Finished) -> None:
    assert len(rows(added, "plain.csv")) == 3, "column z"


@pytest.mark.ours(
    "6",
    "A whole number of 2^53 or more that is written as a float is never rounded: it is exact, or refused with its row.",
)
@pytest.mark.parametrize("value", ["9007199254740992.5", "-9223372036854775809.0", "1e19"])
def test_large_whole_numbers(score: Score, value: str) -> None:
    done = score("add", {"large.csv": f"n,x,s\n1,2,a\n{value},2,b\n"})
    assert done.code == 1
    [failure] = done.failures
    assert (failure["row"], failure["column"], failure["value"]) == (1, "n", value)


@pytest.mark.ours("6", "Optional columns may be absent or empty.")
def test_optional_columns(added: Finished) -> None:
    assert rows(added, "empty-optional.csv") == [["0", "4.0"], ["1", "6.0"]]
    assert rows(added, "bom.csv") == [["0", "4.0"]]


@pytest.mark.ours("6", "A CSV file of a header only is a succeeded item of no rows.")
def test_header_only(added: Finished) -> None:
    assert rows(added, "header.csv") == []
    assert "8 succeeded, 0 failed." in added.out


@pytest.mark.ours("6", "The last lines count files that gave rows, rows, files without rows and files that failed.")
def test_counts(added: Finished, score: Score) -> None:
    assert "\n7 files, 12 rows; 1 file without rows\n" in added.out
    done = score("add", {"a.csv": "n,x,s\n1,2,a\n", "b.csv": "n,x,s\nno,2,a\n"}, "--bad-files", "quarantine")
    assert "\n1 files, 1 rows; 1 file failed\n" in done.out
    done = score("add", {"a.csv": "n,x,s\n1,2,a\n", "b.csv": "n,x,s\nno,2,a\n"}, "--workers", "1")
    assert done.out.splitlines()[2].endswith("; 1 file failed and ended the job, whatever the threshold")


@pytest.mark.ours("6", "file_name is the bare name, quoted as CSV needs it.")
def test_file_name(added: Finished) -> None:
    assert '0,4.0,"here, ""there"".csv"\n' in added.predictions


@pytest.fixture(scope="session")
def answered(score: Score) -> Finished:
    """Predictions of every shape, and a file on which `predict` fails."""
    kinds = {"frame": 1, "missing": 2, "numbers": 3, "pairs": 2, "raises": 1, "texts": 3}
    files: dict[str, Any] = {f"{kind}.csv": "kind\n" + f"{kind}\n" * count for kind, count in kinds.items()}
    return score("answer", files, retry_settings={"max_retries": 2})


@pytest.mark.documented("6", "predict is called once per file.")
def test_once_per_file(answered: Finished) -> None:
    calls = [line for line in answered.log("user/stdout/*/*.txt").splitlines() if "predict called" in line]
    counts = [int(line.split("with ")[1].split()[0]) for line in calls]
    assert sorted(counts) == [1, 1, 1, 2, 2, 3, 3], "the file that fails is tried twice"


@pytest.mark.ours("6", "A model without signature gets the table as pandas reads it.")
def test_without_signature(answered: Finished) -> None:
    assert answered.code == 0, answered.err
    assert rows(answered, "numbers.csv") == [["0", "0.0"], ["1", "0.25"], ["2", "0.5"]]


@pytest.mark.ours(
    "6",
    "A prediction that is not a scalar is JSON in its one field: a list per array row, an object per table row.",
)
def test_json(answered: Finished) -> None:
    assert '0,"[0.25, 0.75]",pairs.csv\n' in answered.predictions
    [[row, value]] = rows(answered, "frame.csv")
    assert (row, json.loads(value)) == ("0", {"label": "yes", "score": 0.5})


@pytest.mark.ours("6", "A missing scalar is `nan`; arrays of shape (n, 1) are scalars.")
def test_missing(answered: Finished) -> None:
    assert rows(answered, "missing.csv") == [["0", "nan"], ["1", "1.0"]]


@pytest.mark.ours("6", "Texts are quoted as CSV needs it, so that the file always has its columns.")
def test_texts(answered: Finished) -> None:
    texts = ["plain", 'with, comma and "quote"', "two\nlines"]
    assert rows(answered, "texts.csv") == [[str(row), text] for row, text in enumerate(texts)]


@pytest.mark.ours("6", "predict() that raises is a failed try like any other.")
def test_predict_raises(answered: Finished) -> None:
    [record] = answered.failures
    assert record["file"].endswith("raises.csv")
    assert (record["kind"], record["attempts"]) == ("raised", 2)
    assert "KeyError: 'raises'" in record["message"]


@pytest.mark.documented(
    "6",
    "Data that does not parse as the signature says fails the job, without retry, naming column, row and value.",
)
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            "n,x,s\n1,2,a\n\nvalue,2,a\n",
            "column 'n', row 1 (line 4): invalid literal for int() with base 10: 'value'; "
            "the model's signature asks for long here",
        ),
        ("n,s\n1,a\n", "column 'x': missing column 'x'; the file has 'n', 's': add what is missing"),
        ("n,x_,s\n1,2,a\n", "column 'x': missing column 'x'; the file has 'n', 'x_', 's': did you mean 'x' by 'x_'?"),
    ],
)
def test_bad_data(score: Score, content: str, text: str) -> None:
    done = score("add", {"bad.csv": content})
    path = done.output.parent / "inputs/bad.csv"
    assert done.code == 1
    assert f"ERROR:azureml:Error processing input file: '{path}'. Exception: {text}\n" in done.err
    assert done.err.count("Error processing input file") == 1
    assert "Traceback" not in done.err + done.out
    assert list((done.output / "named-outputs/score").iterdir()) == []
    [record] = done.failures
    assert (record["kind"], record["attempts"]) == ("bad_file", 1)


@pytest.mark.ours("6", "After a bad file the advice is to correct it and score again: no resume takes a changed input.")
def test_advice_after_a_bad_file(score: Score) -> None:
    done = score("add", {"a.csv": "n,x,s\nno,2,a\n", "b.csv": "n,x,s\n1,2,a\n"})
    advice = f"Correct the file and score again with --output {done.output} --overwrite: "
    assert done.code == 1 and advice in done.err and "add --bad-files quarantine" in done.err
    assert "waiting mini batch" not in done.err and "--accept-changed" not in done.err
    page = Page.read(done.output)
    assert advice in page.words and f"batchtwin resume {done.output}" not in page.words.replace(advice, "")
    checked = batchtwin("verify", done.output)
    assert advice in checked.out + checked.err and "waiting mini batch" not in checked.out + checked.err
    again = batchtwin("resume", done.output)  # of the same file
    assert again.code == 1 and advice in again.err


@pytest.mark.ours(
    "6", "Of a completed job, the advice after files that were set aside is to correct them and score again."
)
def test_advice_after_quarantine(score: Score) -> None:
    done = score("add", {"a.csv": "n,x,s\nno,2,a\n", "b.csv": "n,x,s\n1,2,a\n"}, "--bad-files", "quarantine")
    assert (done.code, "resume --retry-failed" in done.err) == (0, False)
    assert f"Correct the file and score again with --output {done.output} --overwrite: " in done.err
    assert "--retry-failed" not in Page.read(done.output).words


@pytest.mark.documented("6", "A file of an unsupported type fails the job, before anything is scored.")
def test_unsupported_file(score: Score) -> None:
    done = score("add", {"good.csv": PLAIN, "notes.avro": "x"})
    path = done.output.parent / "inputs/notes.avro"
    assert done.code == 2
    start = f"ERROR:azureml:Error processing input file: '{path}'. File type '.avro' is not supported."
    assert done.err.startswith(start)
    assert not done.output.exists(), "no worker was started"


BAD: dict[str, Any] = {
    "bytes.csv": b"n,x,s\n1,2,caf\xe9\n",
    "broken.parquet": b"PAR1 and no more",
    "column.csv": "n,s\n1,a\n",
    "fields.csv": "n,x,s\n1,2,a\n1,2,a,b\n",
    "good.csv": PLAIN,
    "image.png": b"\x89PNG\r\n\x1a\n",
    "missing.csv": "n,x,s\n1,2,a\n,2,a\n",
    "notes.avro": b"x",
    "value.csv": "n,x,s\n1,2,a\n1,oops,a\n",
}


@pytest.fixture(scope="session")
def quarantined(score: Score) -> Finished:
    """One good file and many bad ones."""
    return score("add", BAD, "--bad-files", "quarantine", mini_batch_size=4)


@pytest.mark.ours("6", "With --bad-files quarantine bad files become failed items, and the others are scored.")
def test_quarantine(quarantined: Finished) -> None:
    assert quarantined.code == 0, quarantined.err
    assert len(rows(quarantined, "good.csv")) == quarantined.predictions.count("\n") == 3
    assert "1 succeeded, 8 failed." in quarantined.out


@pytest.mark.ours("6", "failures.jsonl names each quarantined file, with column, row, line and value where known.")
@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("bytes.csv", {"column": "s", "row": 0, "line": 2, "value": "caf\\xe9"}, "not UTF-8"),
        ("broken.parquet", {}, "not a readable Parquet file"),
        ("column.csv", {"column": "x"}, "missing column 'x'"),
        ("fields.csv", {"row": 1, "line": 3}, "4 fields, the header has 3"),
        ("image.png", {}, "asks for a table with the columns 'n', 'x', 's', 'o'; this is an image"),
        ("missing.csv", {"column": "n", "row": 1, "line": 3}, "the value is missing"),
        ("notes.avro", {}, "File type '.avro' is not supported."),
        (
            "value.csv",
            {"column": "x", "row": 1, "line": 3, "value": "oops"},
            "could not convert string to float: 'oops'",
        ),
    ],
)
def test_quarantined_files(quarantined: Finished, name: str, known: dict[str, Any], text: str) -> None:
    [record] = (record for record in quarantined.failures if record["file"].endswith(name))
    assert record["kind"] == "bad_file"
    assert text in record["message"]
    assert {key: record[key] for key in ("column", "row", "line", "value") if key in record} == known


@pytest.mark.ours("6", "Quarantined files count for error_threshold.")
def test_quarantine_and_threshold(score: Score) -> None:
    files = {name: BAD[name] for name in ("good.csv", "notes.avro", "value.csv")}
    done = score("add", files, "--bad-files", "quarantine", error_threshold=1)
    assert done.code == 1
    assert "The number of failed items is 2, which exceeds error threshold 1." in done.err
    assert list((done.output / "named-outputs/score").iterdir()) == []


@pytest.mark.documented("6", "Models need the python_function flavor; the refusal names the flavors found.")
def test_flavor(project: Project) -> None:
    assert project.model is not None
    (project.model / "MLmodel").write_text("flavors: {onnx: {}}")
    (project.inputs / "good.csv").write_text(PLAIN)
    done = project.score()
    assert done.code == 2
    assert "no python_function among them (found: onnx)" in done.err
    assert "code_configuration" in done.err


@pytest.mark.ours(
    "6", "A model that each worker fails to load, by one exception, ends the job: once each, not 3 times."
)
@pytest.mark.parametrize(
    ("loader", "workers", "starts"),
    [
        ("raise ValueError(f'no weights at {id(object()):#x}')", "2", 2),
        ("import no_such_module", "1", 1),
        # What differs may be another the next time.
        ("raise ValueError(''.join(filter(str.isalpha, uuid.uuid4().hex)))", "2", 6),
        ("os._exit(3)", "1", 3),
    ],
)
def test_model_that_cannot_be_loaded(project: Project, loader: str, workers: str, starts: int) -> None:
    assert project.model is not None
    (project.model / "MLmodel").write_text("flavors: {python_function: {loader_module: own_loader, code: code}}\n")
    (project.model / "code").mkdir()
    text = f"import os, uuid\ndef _load_pyfunc(path):\n    {loader}\n"
    (project.model / "code/own_loader.py").write_text(text)
    for number in range(8):
        (project.inputs / f"{number}.csv").write_text("x\n1\n")
    done = project.score("--workers", workers, "--env", "here")
    assert done.code == 1
    assert f"had raised exception for {starts} times." in done.err


@pytest.mark.ours("6", "The driver refuses summary_only: nothing would be written.")
def test_summary_only(score: Score) -> None:
    done = score("add", {"good.csv": PLAIN}, output_action="summary_only")
    assert done.code == 2
    assert "'summary_only' without a scoring script would write nothing" in done.err
