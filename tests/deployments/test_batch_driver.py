"""deployment-custom/deployment.yml: records with prediction and probability."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deployments.conftest import Score

from support import Finished


@pytest.fixture(scope="module")
def done(score: Score, inputs: Path, heart_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The job, with a model whose folder has another name."""
    model = tmp_path_factory.mktemp("models") / "heart classifier.v2"
    shutil.copytree(heart_model, model)
    return score("deployment.yml", inputs, model=model)


def test_prediction_and_probability_follow_the_record(
    done: Finished, good_files: list[Path], inputs: Path, classifier: Any
) -> None:
    assert done.code == 0, done.err
    expected = []
    for path in good_files:
        table = pd.read_csv(path)
        texts = path.read_text().replace(",", " ").splitlines()[1:]
        predictions, probabilities = classifier.predict(table), classifier.predict_proba(table)[:, 1]
        expected += [" ".join(map(str, row)) for row in zip(texts, predictions, probabilities, strict=True)]
    assert len(expected) == 303
    assert done.predictions.splitlines()[:303] == expected


def test_other_columns_in_another_order_stay(done: Finished, inputs: Path, classifier: Any) -> None:
    table = pd.read_csv(inputs / "whole.csv")
    probabilities = classifier.predict_proba(table)[:, 1]
    first, second = done.predictions.splitlines()[303:]
    label, other = classifier.predict(table)
    assert first == f"50 1 4 120 200 0 0 150 0 2.0 2 0 normal 007 {label} {probabilities[0]}"
    assert second == f"60 1 4 140 300 0 2 120 1 4.0 2 1 reversible 008 {other} {probabilities[1]}"


def test_bad_file_is_named(done: Finished, inputs: Path) -> None:
    assert "7 items, 6 succeeded, 1 failed." in done.out
    [failure] = done.failures
    assert failure["file"] == str(inputs / "wrong.csv")
    assert f"ValueError: {inputs / 'wrong.csv'}: invalid literal for int() with base 10: 'old'" in failure["message"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("age,sex\n1,1\n", "missing columns: cp, trestbps, "),
        ("age\n1,2\n", "rows have more fields than the header"),
        ("", "No columns to parse from file"),
        ("\x00\xff", "'utf-8' codec can't decode"),
    ],
    ids=["column", "field", "blank", "binary"],
)
def test_what_is_wrong_is_said(score: Score, tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "wrong.csv").write_bytes(b"\n" + text.encode("latin-1"))
    done = score("deployment.yml", tmp_path, "--set", "settings.retry_settings.max_retries=1")
    assert done.code == 1
    assert f"{tmp_path / 'wrong.csv'}: " in done.err
    assert problem in done.err
