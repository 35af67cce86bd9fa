"""deployment-custom/deployment-flavor.yml: scikit-learn's probabilities and a threshold from the deployment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import Finished


@pytest.fixture(scope="module")
def done(score: Callable[..., Finished], inputs: Path) -> Finished:
    """The job."""
    return score("deployment-flavor.yml", inputs)


def test_decisions_are_by_the_deployments_threshold(
    done: Finished, good_files: list[Path], inputs: Path, classifier: Any
) -> None:
    assert done.code == 0, done.err
    expected, differ = [], 0
    for path in [*good_files, inputs / "whole.csv"]:
        table = pd.read_csv(path)
        probabilities = classifier.predict_proba(table)[:, 1]
        decisions = (probabilities >= 0.3).astype(int)
        differ += (decisions != classifier.predict(table)).sum()
        rows = enumerate(zip(probabilities, decisions, strict=True))
        expected += [f"{path.name} {row} {probability!s} {decision}" for row, (probability, decision) in rows]
    assert done.predictions.splitlines() == expected
    assert differ > 0, "a threshold that decides nothing is no test"
    assert "decision threshold 0.3" in done.log("user/stdout/*/*.txt")


def test_bad_file_is_named(done: Finished) -> None:
    [failure] = done.failures
    assert "wrong.csv: invalid literal for int()" in failure["message"]


def test_threshold_that_is_no_probability_fails_the_job(score: Callable[..., Finished], inputs: Path) -> None:
    override = "settings.environment_variables.DECISION_THRESHOLD=30%"
    done = score("deployment-flavor.yml", inputs, "--workers", "1", "--set", override)
    assert done.code == 1
    assert "DECISION_THRESHOLD is '30%'; it has to be a number from 0 to 1" in done.err
