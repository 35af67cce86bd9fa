"""deployment-custom/deployment-parquet.yml: one Parquet file for each input file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import ROOT, Finished, Project


@pytest.fixture(scope="module")
def done(score: Callable[..., Finished], inputs: Path) -> Finished:
    """The job."""
    return score("deployment-parquet.yml", inputs)


def written(done: Finished) -> list[str]:
    """The names of all files of the output, hidden ones too."""
    return sorted(path.name for path in (done.output / "named-outputs/score").iterdir())


def test_one_file_for_each_good_file(done: Finished, inputs: Path) -> None:
    assert done.code == 0, done.err
    assert written(done) == sorted(f"{path.name}.parquet" for path in inputs.iterdir() if path.name != "wrong.csv")


@pytest.mark.parametrize("name", ["heart-unlabeled-0.csv", "heart-unlabeled-3.csv", "whole.csv", "none.csv"])
def test_records_and_predictions(done: Finished, inputs: Path, classifier: Any, name: str) -> None:
    expected = pd.read_csv(inputs / name, dtype={"oldpeak": "float64", "patient": "str"})
    expected["prediction"] = classifier.predict(expected) if len(expected) else []
    table = pd.read_parquet(done.output / f"named-outputs/score/{name}.parquet")
    pd.testing.assert_frame_equal(table, expected, check_dtype=len(expected) > 0)
    assert table["oldpeak"].dtype == "float64"
    assert table["prediction"].dtype == "int64"


def test_bad_file_is_named(done: Finished) -> None:
    [failure] = done.failures
    assert "wrong.csv: invalid literal for int()" in failure["message"]


def test_try_killed_while_writing_does_no_harm(tmp_path: Path, heart_model: Path) -> None:
    flag = tmp_path / "killed"
    script = f"""
        import os, pathlib, sys
        sys.path.insert(0, {str(ROOT / "deployment-custom/code")!r})
        from batch_driver_parquet import init, run as score

        def run(mini_batch):
            flag = pathlib.Path({str(flag)!r})
            if not flag.exists():
                os.replace = lambda partial, target: flag.write_text(str(partial)) and os.kill(os.getpid(), 9)
            return score(mini_batch)
    """
    project = Project(tmp_path / "project", script, {"output_action": "summary_only"}, heart_model)
    shutil.copy(ROOT / "data/heart-unlabeled-3.csv", project.inputs)
    done = project.score("--workers", "1")
    assert done.code == 0, done.err
    assert Path(flag.read_text()).parent == done.output / "named-outputs/score"
    assert written(done) == ["heart-unlabeled-3.csv.parquet"]
    assert len(pd.read_parquet(done.output / "named-outputs/score/heart-unlabeled-3.csv.parquet")) == 3
