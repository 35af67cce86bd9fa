"""deployment-custom/deployment-chunked.yml: a CSV of any size in the same memory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import ROOT, Finished

# The driver reads 50,000 rows at a time: three chunks, and seven times as many rows.
SMALL, LARGE = 130_000, 910_001


@dataclass(frozen=True)
class Job:
    """The job, its input folder and its output folder."""

    done: Finished
    inputs: Path

    @property
    def outputs(self) -> Path:
        """The folder with the predictions of each input."""
        return self.done.output / "named-outputs/score"


@pytest.fixture(scope="module")
def job(score: Callable[..., Finished], inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """One worker scores a small file, a large one, `none.csv`, `whole.csv` and one that is wrong in its third chunk."""
    folder = tmp_path_factory.mktemp("sized")
    for name, rows in (("a-small.csv", SMALL), ("b-large.csv", LARGE)):
        words = ["--rows", str(rows), "--out", str(folder)]
        subprocess.run([sys.executable, str(ROOT / "scripts/make_data.py"), *words], check=True, capture_output=True)
        (folder / "heart-unlabeled-0.csv").rename(folder / name)
    for name in ("none.csv", "whole.csv"):
        shutil.copy(inputs / name, folder)
    text = (folder / "a-small.csv").read_text()
    (folder / "wrong.csv").write_text(f"{text}50,1,4,120,200,0,0,150,0,high,2,0,normal\n")
    return Job(score("deployment-chunked.yml", folder, "--workers", "1"), folder)


def test_memory_does_not_grow_with_the_rows(job: Job) -> None:
    assert job.done.code == 0, job.done.err
    printed = job.done.log("user/stdout/*/*.txt")
    peaks = dict(re.findall(r"^(\S+): \d+ rows, peak memory of this process (\d+) MiB$", printed, re.MULTILINE))
    assert f"b-large.csv: {LARGE} rows, " in printed
    # All rows of the large file at once would take several times as much.
    assert int(peaks["b-large.csv"]) < min(1000, 1.1 * int(peaks["a-small.csv"]))


@pytest.mark.parametrize("name", ["a-small.csv", "b-large.csv", "none.csv"])
def test_whole_rows_in_order(job: Job, name: str) -> None:
    with (job.inputs / name).open() as rows, (job.outputs / name).open() as lines:
        assert next(lines) == next(rows).replace("\n", ",prediction\n")
        wrong = [line for row, line in zip(rows, lines, strict=True) if line[:-3] != row[:-1]]
    assert wrong == []


def test_predictions_do_not_depend_on_chunks(job: Job, classifier: Any) -> None:
    table = pd.read_csv(job.outputs / "a-small.csv")
    assert len(table) == SMALL
    assert (table["prediction"] == classifier.predict(table)).all()


def test_columns_keep_their_order_and_text(job: Job) -> None:
    header, first, _ = (job.outputs / "whole.csv").read_text().splitlines()
    assert header == "thal,ca,slope,oldpeak,exang,thalach,restecg,fbs,chol,trestbps,cp,sex,patient,age,prediction"
    assert first[:-1] == "normal,0,2,2.0,0,150,0,0,200,120,4,1,007,50,"


def test_bad_value_at_the_end_leaves_no_part_of_the_file(job: Job) -> None:
    good = ["a-small.csv", "b-large.csv", "none.csv", "whole.csv"]
    assert sorted(path.name for path in job.outputs.iterdir()) == good
    [failure] = job.done.failures
    assert f"{job.inputs / 'wrong.csv'}: could not convert string to float: 'high'" in failure["message"]
