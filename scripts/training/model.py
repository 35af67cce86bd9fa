"""The model: a pipeline from raw columns to 0 or 1, its scores, and what MLflow is told about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.training.table import COLUMNS, NAMED, TARGET, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

CONDA_FILE = Path(__file__).resolve().parents[2] / "environment/conda.yaml"

SEED = 0
PARAMETERS: dict[str, Any] = {
    "n_estimators": 150,
    "max_depth": 3,
    "learning_rate": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "min_child_weight": 2,
    "random_state": SEED,
    # The count of threads is saved with the model. One: scoring runs in parallel by workers, not inside each.
    "n_jobs": 1,
}

# skops builds nothing on loading but what is named here or what it knows to be harmless (scikit-learn, numpy). These
# two are xgboost's classifier and the trees in it, whose state is xgboost's own binary format, not a pickle.
TRUSTED_TYPES = ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]
# What the model imports when it scores: these lines of environment/conda.yaml are the model's requirements.
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scikit-learn", "skops", "xgboost")
SCORES = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "log_loss": "log loss"}


@dataclass(frozen=True)
class Evaluation:
    """Scores of each fold, shape (folds x repeats,), and one out-of-fold probability for each row, shape (rows,)."""

    scores: dict[str, npt.NDArray[np.float64]]
    truth: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]


def make_pipeline() -> Any:
    """Return the untrained pipeline from raw columns to 0 or 1."""
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder
    from xgboost import XGBClassifier

    # A kind that training has not seen becomes all zeros: one odd row is not to fail a batch of thousands.
    kinds = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = [name for name in COLUMNS if name not in NAMED]
    columns = make_column_transformer((kinds, list(NAMED)), ("passthrough", numbers))
    return Pipeline([("columns", columns), ("classifier", XGBClassifier(**PARAMETERS))])


def evaluate(features: pd.DataFrame, target: pd.Series[int], folds: int, repeats: int) -> Evaluation:
    """Cross-validate: each score is of rows that the model at hand was not trained on."""
    import numpy as np
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
    from sklearn.model_selection import RepeatedStratifiedKFold

    truth = np.asarray(target, dtype=np.int64)
    probability = np.empty(len(target))
    scores: dict[str, list[float]] = {name: [] for name in SCORES}
    splitter = RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=SEED)
    for train, test in splitter.split(features, truth):
        model = make_pipeline().fit(features.iloc[train], truth[train])
        probability[test] = model.predict_proba(features.iloc[test])[:, 1]
        scores["roc_auc"].append(roc_auc_score(truth[test], probability[test]))
        scores["accuracy"].append(accuracy_score(truth[test], probability[test] > 0.5))
        scores["log_loss"].append(log_loss(truth[test], probability[test]))
    return Evaluation({name: np.array(values) for name, values in scores.items()}, truth, probability)


def draw(evaluation: Evaluation) -> Any:
    """Return one figure of two pictures, both of out-of-fold predictions: confusion matrix and ROC curve."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state
    from sklearn.metrics import confusion_matrix, roc_curve

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = confusion_matrix(evaluation.truth, evaluation.probability > 0.5)
    left.imshow(counts, cmap="Blues", vmin=0, vmax=2 * counts.max())
    for (row, column), count in zip([(0, 0), (0, 1), (1, 0), (1, 1)], counts.ravel(), strict=True):
        left.text(column, row, str(count), ha="center", va="center")
    left.set(xticks=[0, 1], yticks=[0, 1], xlabel="predicted", ylabel=TARGET, title="Out-of-fold confusion matrix")
    false_positive, true_positive, _ = roc_curve(evaluation.truth, evaluation.probability)
    right.plot(false_positive, true_positive)
    right.plot([0, 1], [0, 1], linestyle=":", color="grey")
    auc = evaluation.scores["roc_auc"].mean()
    right.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC, mean AUC {auc:.3f}")
    return figure


def requirements(conda_file: Path) -> list[str]:
    """Return the lines of the conda file's pip section that the model needs.

    Raises:
        InputError: a version installed here is not the one that will score.
    """
    import yaml

    entries = yaml.safe_load(conda_file.read_text(encoding="utf-8"))["dependencies"]
    lines = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
    pins = {name: pinned for name, _, pinned in (line.partition("==") for line in lines)}
    for name in REQUIREMENTS:
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "nothing"
        if installed != pins.get(name):
            raise InputError(
                f"{conda_file.name} pins {name}=={pins.get(name)} for scoring, installed is {installed}; "
                "run `make venv`, or correct the pin and run `make lock`"
            )
    return [f"{name}=={pins[name]}" for name in REQUIREMENTS]


def model_arguments(features: pd.DataFrame, data: Path) -> dict[str, Any]:
    """Return what MLflow is told about the model: types of columns, an example, requirements, how to store it."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    kinds = {"oldpeak": DataType.double, "thal": DataType.string}
    inputs = [ColSpec(kinds.get(name, DataType.long), name) for name in COLUMNS]
    return {
        "signature": ModelSignature(Schema(inputs), Schema([ColSpec(DataType.long)])),
        "input_example": features.head(3).reset_index(drop=True),
        "pip_requirements": requirements(CONDA_FILE),
        "serialization_format": "skops",
        "skops_trusted_types": TRUSTED_TYPES,
        "metadata": {"data": data.name, "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest()},
    }
