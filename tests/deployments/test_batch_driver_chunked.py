"""deployment-custom/deployment-chunked.yml: a CSV of any size in the same memory."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deployments.conftest import Score

from support import ROOT, Finished

# The driver reads 50,000 rows at a time: three chunks, and twelve times as many rows, with a part of a chunk.
SMALL, LARGE = 130_000, 1_560_001


@dataclass(frozen=True)
class Job:
    """The job, its inputs (first the small file) and its outputs."""

    done: Finished
    inputs: list[Path]

    @property
    def outputs(self) -> list[Path]:
        """The predictions of each input."""
        return [self.done.output / "named-outputs/score" / path.name for path in self.inputs]


@pytest.fixture(scope="module")
def job(score: Score, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """One worker scores the small file, then the large one."""
    folder = tmp_path_factory.mktemp("sized")
    paths = []
    for name, rows in (("a-small.csv", SMALL), ("b-large.csv", LARGE)):
        command = [sys.executable, ROOT / "scripts/make_data.py", "--rows", str(rows), "--out", folder]
        subprocess.run(command, check=True, capture_output=True)
        paths.append((folder / "heart-unlabeled-0.csv").rename(folder / name))
    return Job(score("deployment-chunked.yml", folder, "--workers", "1"), paths)


def test_memory_does_not_grow_with_the_rows(job: Job) -> None:
    assert job.done.code == 0, job.done.err
    printed = job.done.log("user/stdout/*/*.txt")
    small, large = (int(peak) for peak in re.findall(r" rows, peak memory of this process (\d+) MiB", printed))
    assert f"b-large.csv: {LARGE} rows" in printed
    # All rows of the large file at once would take several times as much.
    assert large < 1.1 * small
    assert large < 1000


def test_whole_rows_in_order(job: Job) -> None:
    for source, target in zip(job.inputs, job.outputs, strict=True):
        with source.open() as rows, target.open() as lines:
            assert next(lines) == next(rows).replace("\n", ",prediction\n")
            wrong = [line for row, line in zip(rows, lines, strict=True) if line[:-3] != row[:-1]]
        assert wrong == []


def test_predictions_do_not_depend_on_chunks(job: Job, classifier: Any) -> None:
    table = pd.read_csv(job.outputs[0])
    assert len(table) == SMALL
    assert (table["prediction"] == classifier.predict(table)).all()


def test_bad_value_at_the_end_leaves_no_part_of_the_file(job: Job, score: Score, tmp_path: Path) -> None:
    text = job.inputs[0].read_text()
    (tmp_path / "good.csv").write_text(text[:1000].rpartition("\n")[0])
    (tmp_path / "wrong.csv").write_text(f"{text}50,1,4,120,200,0,0,150,0,high,2,0,normal\n")
    done = score("deployment-chunked.yml", tmp_path, "--workers", "1", "--set", "settings.retry_settings.max_retries=2")
    assert done.code == 0, done.err
    assert [path.name for path in (done.output / "named-outputs/score").iterdir()] == ["good.csv"]
    [failure] = done.failures
    assert f"{tmp_path / 'wrong.csv'}: could not convert string to float: 'high'" in failure["message"]


def test_odd_files(score: Score, inputs: Path) -> None:
    done = score("deployment-chunked.yml", inputs, "--set", "settings.retry_settings.max_retries=1")
    assert done.code == 0, done.err
    output = done.output / "named-outputs/score"
    assert (output / "none.csv").read_text() == (inputs / "none.csv").read_text().replace("\n", ",prediction\n")
    whole = (output / "whole.csv").read_text().splitlines()
    assert whole[1][:-1] == "normal,0,2,2.0,0,150,0,0,200,120,4,1,007,50,"
    assert not (output / "wrong.csv").exists()
