"""Which files are read ahead; and that a job is the same with it."""

from __future__ import annotations

import os
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from batchtwin_node.driver.prefetcher import LARGEST, MOST, SMALLEST, Prefetcher, worth_reading
from commands import run_code
from support import DEADLINE, Project, wait_for

PLENTY = 1 << 40
# Loading takes as long as it takes to read ahead; `predict` tells how many tables wait for their turn.
PATIENT = """
    import glob, os, time, mlflow

    OUTPUT = os.path.join(os.environ["PROJECT"], "job")

    class Patient(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            deadline = time.monotonic() + 60
            while len(glob.glob(OUTPUT + "/scratch/ahead/*.arrow")) < int(os.environ["TABLES"]):
                assert time.monotonic() < deadline
                time.sleep(0.01)

        def predict(self, context, model_input, params=None):
            return [len(glob.glob(OUTPUT + "/scratch/ahead/*.arrow"))] * 2 + [0] * (len(model_input) - 2)

    mlflow.models.set_model(Patient())
"""
SAVE = """
    import sys, mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    signature = ModelSignature(Schema([ColSpec("long", "n"), ColSpec("string", "s")]))
    mlflow.pyfunc.save_model(sys.argv[1], python_model=sys.argv[2], pip_requirements=[], signature=signature)
"""


@pytest.mark.parametrize(
    ("files", "limit", "found"),
    [
        ([("a.csv", SMALLEST), ("b.CSV", LARGEST)], PLENTY, ["a.csv", "b.CSV"]),
        ([("a.csv", SMALLEST - 1), ("b.csv", LARGEST + 1), ("c.parquet", SMALLEST)], PLENTY, []),
        ([(f"{number}.csv", LARGEST) for number in range(9)], MOST, [f"{n}.csv" for n in range(MOST // LARGEST)]),
        ([("a.csv", SMALLEST), ("b.csv", SMALLEST)], 2 * SMALLEST - 1, ["a.csv"]),
        ([], PLENTY, []),
    ],
)
def test_what_is_worth_reading(files: list[tuple[str, int]], limit: int, found: list[str]) -> None:
    assert worth_reading(files, limit)[0] == found


def test_files_that_come_later_are_read_too(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    for path in paths:
        Path(path).write_text("n,s\n" + "1,text of some length\n" * 60_000)
    inputs = '[{"type": "long", "name": "n", "required": true}, {"type": "string", "name": "s", "required": true}]'
    folder = tmp_path / "ahead"
    with closing(Prefetcher(inputs, str(folder), os.environ, cpus=2)) as prefetcher:
        for known in (paths[:1], paths[:1], paths):
            prefetcher.look(known)
        wait_for(lambda: len(list(folder.glob("*.arrow"))) == len(paths))


def test_a_worker_takes_the_table_and_the_bytes_are_the_same(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT", str(project.folder))
    code = project.folder / "patient.py"
    code.write_text(textwrap.dedent(PATIENT))
    project.model = project.folder / "patient"
    monkeypatch.setenv("TABLES", "0")
    run_code(textwrap.dedent(SAVE), [project.model, code], project.folder, DEADLINE)
    (project.inputs / "a.csv").write_text("n,s\n" + "1,text of some length\n" * 60_000)
    monkeypatch.setenv("TABLES", "1")
    read_ahead = project.score("--workers", "1")
    assert read_ahead.code == 0, read_ahead.err
    assert read_ahead.predictions.startswith("0,0,a.csv\n"), "the table was there, and was taken"
    assert not (project.folder / "job/scratch").exists()
    monkeypatch.setenv("TABLES", "0")
    by_itself = project.score("--workers", "1", "--overwrite", env={"BATCHTWIN_NO_FORK": "1"})
    assert by_itself.predictions == read_ahead.predictions
