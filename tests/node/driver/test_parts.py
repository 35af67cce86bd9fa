"""--split-rows: one file on all workers gives the bytes of the whole file, or is scored whole."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchtwin import plan as batchtwin_plan
from batchtwin.inputs import parts
from batchtwin_node.driver.parts import score_part
from batchtwin_node.readers.bad_file import NotInPartsError
from batchtwin_node.readers.signature import Column, Signature
from batchtwin_node.writers.predictions import tabular_lines
from commands import run_code
from support import DEADLINE, Project, batchtwin, warm

ROWS = 1000
MODELS = """
    import sys, mlflow
    import pandas as pd

    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            x = model_input["x"]
            return {how}
    mlflow.models.set_model(Model())
"""
SIGNATURE = """
    import sys, mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    schema = Schema([ColSpec("double", "x"), ColSpec("string", "s")])
    more = {"signature": ModelSignature(schema), "pip_requirements": []}
    mlflow.pyfunc.save_model(sys.argv[1], python_model=sys.argv[2], **more)
"""


def hears_interrupts() -> None:
    """Tests that run in the background of a shell ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def model(folder: Path, how: str) -> Path:
    path = folder / "model.py"
    path.write_text(textwrap.dedent(MODELS.format(how=how)))
    run_code(textwrap.dedent(SIGNATURE), [folder / "saved", path], folder, DEADLINE)
    return folder / "saved"


@pytest.fixture(scope="module")
def row_wise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("row-wise"), "x * 2 + model_input['s'].str.len()")


@pytest.fixture(scope="module")
def not_row_wise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("not-row-wise"), "x - x.mean()")


@pytest.fixture
def table() -> pd.DataFrame:
    texts = np.where(np.arange(ROWS) % 7 == 0, 'two\nlines, "quoted"', "plain")
    return pd.DataFrame({"s": texts, "x": np.arange(ROWS) / 8})


@pytest.fixture
def split(tmp_path: Path, row_wise: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("BATCHTWIN_WARM", "1")
    return Project(tmp_path / "project", model=row_wise)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_bytes_are_those_of_the_whole_file(split: Project, table: pd.DataFrame, ending: str) -> None:
    small = split.inputs / f"a.{ending}"
    large = split.inputs / f"b.{ending}"
    for path, frame in ((small, table[:50]), (large, table)):
        if ending == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, row_group_size=100)
    whole = split.score()
    assert whole.code == 0, whole.err
    expected = whole.predictions
    done = split.score("--split-rows", "100", "--overwrite")
    assert (done.code, done.predictions) == (0, expected), done.err
    assert "There are 11 mini batches with 11 items" in done.out
    assert "one predict for each part of a large file" in done.err
    assert batchtwin("verify", done.output).code == 0
    manifest = json.loads((done.output / "manifest.json").read_text())
    assert [entry["first_row"] for entry in manifest["inputs"]] == [None, *range(0, ROWS, 100)]
    assert "b." + ending + " rows 900 to 999" in done.log("sys/job_report/processed_mini-batches.csv")


def test_a_job_that_was_killed_goes_on_with_the_parts_that_lack(split: Project, table: pd.DataFrame) -> None:
    table.to_csv(split.inputs / "a.csv", index=False)
    expected = split.score().predictions
    flag = split.folder / "killed"
    killed = split.score("--split-rows", "100", "--overwrite", env={"BATCHTWIN_CRASH_AT": f"parent:6:{flag}"})
    assert flag.exists() and killed.code == -9
    done = batchtwin("resume", killed.output)
    assert done.code == 0, done.err
    assert killed.predictions == expected


NOT_ROW_WISE: dict[str, Callable[[pd.DataFrame], object]] = {
    "mean": lambda frame: frame.x - frame.x.mean(),
    "before": lambda frame: frame.x.diff(),
    "window": lambda frame: frame.x.rolling(3).sum(),
    "after": lambda frame: frame.x.shift(-1),
    "rank": lambda frame: frame.x.rank(),
    "fewer": lambda frame: frame.x[frame.x > 5],
    "more": lambda frame: pd.concat([frame.x, frame.x]),
    "index": lambda frame: frame.x + frame.index,
    "one": lambda frame: 1,
    "largest": lambda frame: frame.x - frame.x.max(),
    "sum": lambda frame: frame.x.cumsum(),
    "missing": lambda frame: pd.Series([None if x > 50 else int(x) for x in frame.x]),
    "missing in a table": lambda frame: pd.DataFrame({"y": [None if 50 < x < 60 else int(x) for x in frame.x], "z": 1}),
    "fractions": lambda frame: pd.Series([x + 0.5 if x > 50 else int(x) for x in frame.x]),
    "booleans": lambda frame: np.array([bool(x > 20) if x < 50 else 2 for x in frame.x]),
    "times": lambda frame: (pd.Timestamp("2026-01-01") + pd.to_timedelta(frame.x // 50, "s")).astype(str),
    "columns": lambda frame: pd.DataFrame([{"a": 1, "b": 2} if x > 50 else {"a": 1} for x in frame.x]),
    "order": lambda frame: pd.DataFrame([{"a": 1, "b": 2} if x > 50 else {"b": 2, "a": 1} for x in frame.x]),
    "width": lambda frame: pd.Series([f"{text}" for text in pd.Series(10 ** (frame.x // 40)).to_string().split("\n")]),
    "limit": lambda frame: [1 / (len(frame) > 60)] * len(frame),
}


@pytest.mark.parametrize("how", NOT_ROW_WISE)
def test_a_model_that_is_not_row_wise_is_found_out(tmp_path: Path, table: pd.DataFrame, how: str) -> None:
    path = tmp_path / "a.csv"
    table.to_csv(path, index=False)
    signature = Signature((Column("x", "double"), Column("s", "string")))
    with pytest.raises(NotInPartsError, match="does not treat rows one by one"):
        for part in parts.split_into_parts(str(path), parts.FEWEST_ROWS):
            score_part(str(path), part, signature, NOT_ROW_WISE[how])


ROW_WISE: dict[str, Callable[[pd.DataFrame], object]] = {
    "missing": lambda frame: [None if x > 50 else int(x) for x in frame.x],
    "objects": lambda frame: pd.Series([None if x > 50 else int(x) for x in frame.x], dtype=object),
    "small": lambda frame: pd.to_numeric(frame.x.astype(int), downcast="integer"),
    "texts": lambda frame: np.array(["long" * int(x) for x in frame.x]),
    "categories": lambda frame: pd.Series(frame.x > 50).map({True: "yes", False: "no"}).astype("category"),
    "times": lambda frame: pd.Timestamp("2026-01-01") + pd.to_timedelta(frame.x // 50, "s"),
    "dicts": lambda frame: [{"a": 1, "b": 2} if x > 50 else {"a": 1} for x in frame.x],
}


@pytest.mark.parametrize("how", ROW_WISE)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_types_that_differ_by_part_do_no_harm_where_texts_are_the_same(
    tmp_path: Path, table: pd.DataFrame, how: str, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, row_group_size=100)
    signature = Signature((Column("x", "double"), Column("s", "string")))
    pieces = parts.split_into_parts(str(path), parts.FEWEST_ROWS)
    lines = b"".join(score_part(str(path), part, signature, ROW_WISE[how]).data for part in pieces)
    assert lines == tabular_lines(ROW_WISE[how](table), path.name).data


def test_then_whole_files_are_scored(tmp_path: Path, table: pd.DataFrame, not_row_wise: Path) -> None:
    project = Project(tmp_path / "project", model=not_row_wise)
    table.to_csv(project.inputs / "a.csv", index=False)
    expected = project.score(env=warm()).predictions
    done = project.score("--split-rows", "100", "--overwrite", env=warm())
    assert (done.code, done.predictions) == (0, expected), done.err
    assert "--split-rows: the model does not treat rows one by one; whole files are scored" in done.err
    assert "There are 1 mini batches with 1 items" in done.out
    assert batchtwin("verify", done.output).code == 0


def test_a_bad_value_is_named_as_in_the_whole_file(split: Project, table: pd.DataFrame) -> None:
    table = table.astype(object)
    table.loc[[777, 950], "x"] = "many"
    table.to_csv(split.inputs / "a.csv", index=False)
    whole = split.score("--overwrite")
    done = split.score("--split-rows", "100", "--overwrite")
    assert done.code == whole.code == 1
    [failure] = done.failures
    assert (failure["row"], failure["value"], failure["column"]) == (777, "many", "x")
    assert failure["message"] == whole.failures[0]["message"]


def test_booleans_among_numbers_are_judged_by_the_whole_column(split: Project) -> None:
    (split.inputs / "a.csv").write_text("x,s\n" + "1,a\n" * 100 + "True,c\nFalse,d\n")
    whole = split.score("--overwrite")
    done = split.score("--split-rows", "100", "--overwrite")
    assert done.code == whole.code == 1
    assert done.failures == whole.failures


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--split-rows", "0"], "--split-rows 0: expected a number of rows from 1, or auto"),
        (["--split-rows", "many"], "--split-rows many: expected a number of rows from 1, or auto"),
        (["--split-rows", "99"], "--split-rows 99: expected at least 100 rows, or auto"),
        (["--split-rows", "500", "--bad-files", "quarantine"], "--split-rows does not go with --bad-files quarantine"),
    ],
)
def test_what_makes_no_sense_is_refused(split: Project, words: list[str], text: str) -> None:
    (split.inputs / "a.csv").write_text("x,s\n1,a\n")
    done = split.score(*words)
    assert done.code == 2
    assert text in done.err


def test_it_is_for_the_driver(project: Project) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return mini_batch"
    done = project.score("--split-rows", "500")
    assert done.code == 2
    assert "--split-rows is for the MLflow driver" in done.err


def test_files_below_the_size_are_whole_under_auto(split: Project) -> None:
    (split.inputs / "a.csv").write_text("x,s\n1,a\n2,b\n")
    done = split.score("--split-rows", "auto")
    assert done.code == 0
    assert "There are 1 mini batches with 1 items" in done.out


def plan_of(project: Project, *words: str) -> dict[str, Any]:
    done = batchtwin("plan", project.write(), "--input", project.inputs, "--json", *words)
    assert done.code == 0, done.err
    facts: dict[str, Any] = json.loads(done.out)
    return facts


def large(path: Path, size: int = 20 << 20) -> None:
    """A file whose rows nobody reads."""
    path.write_text("x,s\n1,a\n")
    with path.open("r+b") as stream:
        stream.truncate(size)


def test_a_plan_counts_parts(split: Project, table: pd.DataFrame) -> None:
    table.to_csv(split.inputs / "a.csv", index=False)
    facts = plan_of(split, "--split-rows", "100")
    assert (facts["files"], facts["mini_batches"]) == (1, 10)
    assert facts["split_rows"] == "10 parts of a.csv"
    made = batchtwin_plan(split.write(), split.inputs, split_rows=500)
    assert made.facts["split_rows"] == "2 parts of a.csv"


def test_a_plan_says_where_parts_would_help(split: Project) -> None:
    large(split.inputs / "a.csv")
    (split.inputs / "b.csv").write_text("x,s\n1,a\n")
    text = plan_of(split, "--workers", "2")["split_rows"]
    assert text.startswith("would help: a.csv has 99 % of the bytes"), text
    assert "--split-rows auto makes about 3 parts for 2 workers" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--workers", "1"], "would not help: a.csv has 100 % of the bytes, and one worker scores it whole, but"),
        (["--workers", "2", "--bad-files", "quarantine"], "not available: a.csv has 100 % of the bytes"),
    ],
)
def test_a_plan_says_why_parts_would_not(split: Project, words: list[str], text: str) -> None:
    large(split.inputs / "a.csv")
    assert plan_of(split, *words)["split_rows"].startswith(text)


def test_a_plan_says_that_a_script_reads_files_itself(project: Project) -> None:
    large(project.inputs / "a.csv")
    project.script = "def run(mini_batch): return mini_batch"
    assert "brings a scoring script" in plan_of(project, "--workers", "2")["split_rows"]


def test_a_plan_says_nothing_of_parts_where_files_are_many_or_small(split: Project) -> None:
    for name in "abc":
        large(split.inputs / f"{name}.csv")
    assert "split_rows" not in plan_of(split, "--workers", "2")
    for name in "bc":
        (split.inputs / f"{name}.csv").unlink()
    large(split.inputs / "a.csv", 1 << 20)
    assert "split_rows" not in plan_of(split, "--workers", "2")


def test_a_plan_without_input_refuses_parts_for_a_script(project: Project) -> None:
    project.script = "def run(mini_batch): return mini_batch"
    done = batchtwin("plan", project.write(), "--split-rows", "500")
    assert (done.code, "--split-rows is for the MLflow driver" in done.err) == (2, True)


# Sends itself Ctrl-C when the runtime says, or does, what `WHEN` names.
INTERRUPTED = """
import json, os, signal, sys, batchtwin

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Progress:
    def update(self, job): pass
    def note(self, text):
        if sys.argv[3] == "note" and "whole files are scored" in text:
            interrupt()
    def close(self):
        if sys.argv[3] == "close":
            sys.argv[3] = ""
            interrupt()

result = batchtwin.score(sys.argv[1], sys.argv[2], output="job", workers=1, split_rows=100, progress=Progress())
print(json.dumps([result.status, result.exit_code]))
"""


@pytest.mark.parametrize("when", ["close", "note"])
def test_ctrl_c_before_whole_files_are_scored_cancels(
    tmp_path: Path, table: pd.DataFrame, not_row_wise: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in warm().items():
        monkeypatch.setenv(name, value)
    project = Project(tmp_path / "project", model=not_row_wise)
    table.to_csv(project.inputs / "a.csv", index=False)
    (project.folder / "caller.py").write_text(INTERRUPTED)
    words = [sys.executable, "caller.py", str(project.write()), str(project.inputs), when]
    done = subprocess.run(
        words, cwd=project.folder, capture_output=True, text=True, check=False, preexec_fn=hears_interrupts
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == ["Canceled", 130]
    resumed = batchtwin("resume", project.folder / "job")
    assert "There are 1 mini batches with 1 items" in resumed.out, resumed.err
