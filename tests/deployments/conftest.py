"""This project's deployments, scored by the real command. What is expected comes from the bare scikit-learn model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import skops.io

from support import ROOT, Finished, batchtwin

HEADER = (ROOT / "data/heart-unlabeled-0.csv").read_text().splitlines()[0]


@pytest.fixture(scope="session")
def classifier(heart_model: Path) -> Any:
    """The scikit-learn pipeline, loaded without MLflow."""
    file = heart_model / "model.skops"
    return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))


@pytest.fixture(scope="module")
def score(heart_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Score a folder with a deployment of deployment-custom."""

    def run(deployment: str, inputs: Path, *words: str | Path, model: Path = heart_model) -> Finished:
        yaml = ROOT / "deployment-custom" / deployment
        output = tmp_path_factory.mktemp("job") / "job"
        return batchtwin("score", yaml, "--input", inputs, "--model", model, "--output", output, *words)

    return run


@pytest.fixture(scope="session")
def good_files() -> list[Path]:
    """The files of data/."""
    return sorted((ROOT / "data").glob("*.csv"))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, good_files: list[Path]) -> Path:
    """The files of data/; `none.csv`, a header only; `whole.csv`, see below; `wrong.csv`, whose second row has a word
    for a number."""
    folder = tmp_path_factory.mktemp("inputs")
    for path in good_files:
        shutil.copy(path, folder)
    (folder / "none.csv").write_text(f"{HEADER}\n")
    # Columns in another order, doubles without decimals, a column that the model does not have.
    (folder / "whole.csv").write_text(
        "thal,ca,slope,oldpeak,exang,thalach,restecg,fbs,chol,trestbps,cp,sex,patient,age\n"
        "normal,0,2,2,0,150,0,0,200,120,4,1,007,50\n"
        "reversible,1,2,4,1,120,2,0,300,140,4,1,008,60\n"
    )
    (folder / "wrong.csv").write_text(f"{HEADER}\n50,1,4,120,200,0,0,150,0,2.0,2,0,normal\nold{',1' * 11},normal\n")
    return folder
