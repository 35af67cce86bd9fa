"""deployment-custom/deployment.yml: records with prediction and probability."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import ROOT, Finished

HEADER = (ROOT / "data/heart-unlabeled-0.csv").read_text().splitlines()[0]


@pytest.fixture(scope="module")
def done(
    score: Callable[..., Finished], inputs: Path, heart_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
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
    assert first == f"50 1 4 120 200 0 0 150 0 2.0 2 0 normal 007 {label} {probabilities[0]!s}"
    assert second == f"60 1 4 140 300 0 2 120 1 4.0 2 1 reversible 008 {other} {probabilities[1]!s}"


def test_bad_file_is_named(done: Finished, inputs: Path) -> None:
    assert "7 items, 6 succeeded, 1 failed." in done.out
    [failure] = done.failures
    assert failure["file"] == str(inputs / "wrong.csv")
    assert f"ValueError: {inputs / 'wrong.csv'}: invalid literal for int() with base 10: 'old'" in failure["message"]


def test_what_is_wrong_with_a_file_is_said(score: Callable[..., Finished], tmp_path: Path) -> None:
    # Numbers so that the row fits the types also if its first field is taken for a row label.
    longer = f"{HEADER}\n50,1,4,120,200,0,0,150,0,2,2,0,3,normal\n"
    wrong = {
        "binary.csv": (b"\x00\xff", "'utf-8' codec can't decode"),
        "blank.csv": (b"\n", "No columns to parse from file"),
        "column.csv": (b"age,sex\n1,1\n", "missing columns: cp, trestbps, "),
        "field.csv": (longer.encode(), "rows have more fields than the header"),
    }
    for name, (data, _) in wrong.items():
        (tmp_path / name).write_bytes(data)
    done = score("deployment.yml", tmp_path, "--set", "settings.mini_batch_size=1")
    assert done.code == 1
    messages = [failure["message"] for failure in done.failures]
    for message, (name, (_, problem)) in zip(messages, wrong.items(), strict=True):
        assert f"{tmp_path / name}: {problem}" in message
