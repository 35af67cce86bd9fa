"""Wide tables, and a model for them: `python -m benchmarks.wide FOLDER MODEL FILES ROWS COLUMNS`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: str, model: str, files: str, rows: str, columns: str) -> None:
    """Write the files, and the model if it is not there."""
    random = np.random.default_rng(7)
    names = [f"gene_{number}" for number in range(int(columns))]
    if not Path(model).exists():
        make_model(Path(model), names, random)
    Path(folder).mkdir(parents=True)
    for number in range(int(files)):
        values = random.random((int(rows), len(names))).round(4)
        pd.DataFrame(values, columns=names).to_csv(Path(folder, f"genes-{number:03}.csv"), index=False)


def make_model(folder: Path, names: list[str], random: np.random.Generator) -> None:
    """Fit a classifier to what means nothing: that predictions are labels spares a comparison of floats."""
    values = random.random((40, len(names)))
    labels = (values[:, 0] > np.median(values[:, 0])).astype(int)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(pd.DataFrame(values, columns=names), labels)
    schema = Schema([ColSpec(DataType.double, name) for name in names])
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    mlflow.sklearn.save_model(
        pipeline, partial, signature=ModelSignature(schema, Schema([ColSpec(DataType.long)])), pip_requirements=[]
    )
    partial.rename(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
