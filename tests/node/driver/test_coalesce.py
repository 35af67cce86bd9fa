"""--coalesce: one `predict` for several files gives the bytes of one for each, or is not done."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtwin_node.driver.coalesce import Coalescer
from batchtwin_node.protocol import BadFile
from batchtwin_node.readers import csv_file
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.readers.csv_batch import read_many, split_files
from batchtwin_node.readers.signature import Column, Signature
from batchtwin_node.script.results import Note, OutputLines
from batchtwin_node.writers.predictions import tabular_lines
from commands import run_code
from support import DEADLINE, ROOT, Project, batchtwin

SIGNATURE = Signature((Column("n", "long"), Column("x", "double"), Column("s", "string")))
CELLS = st.sampled_from(["0", "1", "-7", "2.5", "1e400", "", "NA", "nan", "True", "text", " 3", '"quoted"', "ü", "1,2"])
LINES = st.lists(CELLS, min_size=1, max_size=4).map(",".join) | st.sampled_from(["1,2,a", "1,2.5,b", "", " ", "\r"])
TEXTS = st.lists(LINES, max_size=4).map(lambda lines: "n,x,s\n" + "".join(f"{line}\n" for line in lines))


def written(folder: Path, texts: Iterable[str]) -> list[str]:
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.csv"
        path.write_bytes(text.encode())
        paths.append(str(path))
    return paths


@given(texts=st.lists(TEXTS | st.just("n,x,s\n1,2,a\n"), min_size=1, max_size=3))
def test_files_read_as_one_are_as_if_read_one_by_one(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths = written(tmp_path_factory.mktemp("joined"), texts)
    together = read_many(paths, SIGNATURE)
    if together is None:
        return
    table, files = together
    single = [csv_file.read(path, SIGNATURE) for path in paths]
    assert [(path, len(frame)) for path, frame in zip(paths, single, strict=True)] == files
    pd.testing.assert_frame_equal(table, pd.concat(single, ignore_index=True))
    for (_, part), frame in zip(split_files(together), single, strict=True):
        pd.testing.assert_frame_equal(part, frame)


def test_plain_files_are_read_as_one(tmp_path: Path) -> None:
    paths = written(tmp_path, ["n,x,s\n1,2,a\n3,4,b\n", "n,x,s\n5,6,c\n"])
    together = read_many(paths, SIGNATURE)
    assert together is not None
    assert together[1] == [(paths[0], 2), (paths[1], 1)]


@pytest.mark.parametrize(
    "text",
    ["n,s,x\n1,a,2\n", 'n,x,s\n1,2,"a\nb"\n', "n,x,s\n1,2,a", "n,x,s\n\n1,2,a\n", "n,x,s\n1,2,a,\n", "n,x,s\n1,y,a\n"],
)
def test_what_needs_a_closer_look_is_not(tmp_path: Path, text: str) -> None:
    assert read_many(written(tmp_path, ["n,x,s\n1,2,a\n", text]), SIGNATURE) is None


class Scorer:
    """A coalescer with a function for a model, which counts its calls."""

    def __init__(self, model: Any) -> None:
        self.calls = 0
        self._model = model
        self.coalesce = Coalescer(self.read, self.one, self.predict, SIGNATURE)

    def read(self, path: str) -> Any:
        try:
            return csv_file.read(path, SIGNATURE)
        except BadFileError as error:
            return error.bad_file

    def one(self, path: str, data: pd.DataFrame) -> OutputLines:
        lines = tabular_lines(self.predict(data), Path(path).name) if len(data) else OutputLines(b"", 0)
        return OutputLines(lines.data, lines.rows, len(data))

    def predict(self, data: pd.DataFrame) -> Any:
        self.calls += 1
        return self._model(data)

    def single(self, paths: list[str]) -> list[OutputLines | BadFile]:
        return [data if isinstance(data := self.read(path), BadFile) else self.one(path, data) for path in paths]


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        (lambda data: data["n"] * 2, 1),
        (lambda data: np.tile([0.5, 1.5], (len(data), 1)), 1),
        # Of one file texts and tables are compared each time.
        (lambda data: list(data["s"]), 2),
        (lambda data: data[["n", "s"]], 2),
    ],
)
def test_one_prediction_for_many_files(tmp_path: Path, model: Any, calls: int) -> None:
    texts = ["n,x,s\n1,2,a\n2,2,b\n", "n,x,s\n", "n,x,s\n3,2,c\n", "n,x,s\nbad,2,c\n", "n,x,s\n4,2,d\n"]
    paths = written(tmp_path, texts)
    scorer = Scorer(model)
    expected = scorer.single(paths)
    assert scorer.coalesce(paths) == expected, "the first time both ways are tried"
    assert scorer.coalesce.row_wise
    scorer.calls = 0
    assert scorer.coalesce(paths) == expected
    assert scorer.calls == calls


@pytest.mark.parametrize(
    "model",
    [
        lambda data: data["n"] - data["n"].mean(),
        lambda data: [len(data)],
        lambda data: [len(data)] * len(data),
        lambda data: 1 / (len(data) < 3) and list(data["n"]),
    ],
)
def test_a_model_that_looks_at_other_rows_is_asked_file_by_file(tmp_path: Path, model: Any) -> None:
    paths = written(tmp_path, ["n,x,s\n1,2,a\n2,2,b\n", "n,x,s\n3,2,c\n"])
    scorer = Scorer(model)
    *lines, note = scorer.coalesce(paths)
    assert isinstance(note, Note)
    assert "row" in note.text
    assert lines == scorer.single(paths)
    assert scorer.coalesce(paths) == lines, "told once"


@pytest.mark.parametrize(
    "model",
    [
        lambda data: pd.Series([None if x == 3 else int(x) for x in data["n"]]),
        lambda data: pd.DataFrame({"y": [None if x == 3 else int(x) for x in data["n"]]}),
        lambda data: pd.Series([0.5 if x == 3 else int(x) for x in data["n"]]),
        lambda data: np.array([2 if x == 3 else True for x in data["n"]]),
        lambda data: pd.DataFrame([{"a": 1, "b": 2} if x == 3 else {"a": 1} for x in data["n"]]),
        lambda data: pd.DataFrame([{"a": 1, "b": 2} if x == 3 else {"b": 1, "a": 2} for x in data["n"]]),
        lambda data: pd.Series(pd.Timestamp(2026, 1, 1, 1 if x == 3 else 0) for x in data["n"]).astype(str),
    ],
)
def test_a_type_that_depends_on_other_rows_is_found_out_later(tmp_path: Path, model: Any) -> None:
    plain, remarkable = "n,x,s\n1,2,a\n2,2,b\n", "n,x,s\n3,2,a\n"
    (tmp_path / "first").mkdir()
    first = written(tmp_path / "first", [plain, plain])
    paths = written(tmp_path, [remarkable, plain])
    scorer = Scorer(model)
    assert scorer.coalesce(first) == scorer.single(first)
    assert scorer.coalesce.row_wise
    *lines, note = scorer.coalesce(paths)
    assert isinstance(note, Note)
    assert lines == scorer.single(paths)


def test_tables_of_different_types_are_not_joined(tmp_path: Path) -> None:
    paths = written(tmp_path, ["n,x,s\n1,2,a\n", "n,x,s\n1,2,a\n"])
    tables = iter([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.5]})] * 3)
    kinds: list[str] = []

    def predict(data: pd.DataFrame) -> Any:
        kinds.append(str(data["a"].dtype))
        return data["a"]

    score = Coalescer(
        lambda path: next(tables), lambda path, data: tabular_lines(predict(data), Path(path).name), predict, None
    )
    score(paths)
    score.row_wise = True
    kinds.clear()
    score(paths)
    assert kinds == ["int64", "float64"]


def test_a_job_gives_the_same_bytes(project: Project, heart_model: Path) -> None:
    project.model = heart_model
    project.settings = {"mini_batch_size": 3}
    for path in (ROOT / "data").glob("*.csv"):
        for copy in "abc":
            shutil.copy(path, project.inputs / f"{copy}-{path.name}")
    done = project.score("--warm")
    together = project.score("--warm", "--coalesce", "--overwrite")
    assert together.code == 0, together.err
    assert together.predictions == done.predictions
    assert "the service calls predict once per file" in together.err
    assert "does not treat rows" not in together.err
    assert batchtwin("verify", project.folder / "job").code == 0


def test_a_job_says_that_its_model_is_not_row_wise(project: Project) -> None:
    save = """
        import sys, mlflow, pandas as pd
        class Rank(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return model_input["n"].rank()
        mlflow.models.set_model(Rank())
    """
    folder = project.folder / "rank"
    (project.folder / "rank.py").write_text(textwrap.dedent(save))
    make = "import mlflow, sys; mlflow.pyfunc.save_model(sys.argv[1], python_model=sys.argv[2], pip_requirements=[])"
    run_code(make, [folder, project.folder / "rank.py"], project.folder, DEADLINE)
    project.model = folder
    project.settings = {"mini_batch_size": 2}
    written(project.inputs, [f"n\n{number}\n{number + 1}\n" for number in range(6)])
    done = project.score("--coalesce")
    assert done.code == 0, done.err
    assert done.err.count("does not treat rows one by one") == 1
    assert done.predictions == "".join(f"{row},{row + 1}.0,{number}.csv\n" for number in range(6) for row in range(2))


def test_a_scoring_script_predicts_by_itself(project: Project) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return mini_batch"
    done = project.score("--coalesce")
    assert done.code == 2
    assert done.err.startswith("--coalesce is for the MLflow driver")
