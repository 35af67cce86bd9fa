"""Train the heart classifier and write it as an MLflow model.

One scikit-learn pipeline goes from the raw columns to 0 (healthy) or 1 (diseased). Its cross-validated scores are
printed and, with parameters, pictures and model, logged to a local MLflow store. The model folder is replaced
whole at the very end: whatever goes wrong before that leaves the old one as it was.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import os
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
CONDA_FILE = ROOT / "environment/conda.yaml"

WHOLE = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "slope", "ca")
COLUMNS = (
    "age",
    "sex",
    "cp",
    "trestbps",
    "chol",
    "fbs",
    "restecg",
    "thalach",
    "exang",
    "oldpeak",
    "slope",
    "ca",
    "thal",
)
NAMED = ("cp", "restecg", "slope", "thal")  # numbers or words that name a kind: their order says nothing
TARGET = "target"

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
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SCORES = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "log_loss": "log loss"}


class InputError(ValueError):
    """Something that the caller gave cannot be used; the text says what, where and what to do."""


class Stopped(BaseException):
    """A signal asked to stop. Not an `Exception`: no library's handler is to swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Options:
    """What to train on and where the results go."""

    data: Path
    model: Path
    tracking: str
    artifacts: Path
    experiment: str
    folds: int
    repeats: int
    debug: bool


@dataclass(frozen=True)
class Evaluation:
    """Scores of each fold, shape (folds x repeats,), and one out-of-fold probability for each row, shape (rows,)."""

    scores: dict[str, npt.NDArray[np.float64]]
    truth: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]


# --- the training table


def read_table(path: Path) -> pd.DataFrame:
    """Return the file's cells as text, indexed by line number.

    Raises:
        InputError: the file cannot be read as CSV, or lacks a column.
    """
    import pandas as pd

    rows: dict[int, list[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            check_header(path, header)
            for row in lines:
                if len(row) != len(header) and row:
                    raise InputError(
                        f"{path}, line {lines.line_num}: {len(row)} cells where the header has {len(header)}; "
                        "correct or remove the line"
                    )
                if row:
                    rows[lines.line_num] = [cell.strip() for cell in row]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `make data` writes data/train/heart.csv") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV text in UTF-8 ({error}); save it as such") from None
    return pd.DataFrame.from_dict(rows, orient="index", columns=header, dtype=str)


def check_header(path: Path, header: Sequence[str]) -> None:
    """Raise InputError unless each column that training needs is there once."""
    wrong = [name for name in (*COLUMNS, TARGET) if header.count(name) != 1]
    if wrong:
        how = "missing" if wrong[0] not in header else "there twice"
        raise InputError(f"{path}: column {', '.join(wrong)} {how}; needed are {','.join(COLUMNS)},{TARGET}")


def check_cells(path: Path, column: pd.Series[str], good: pd.Series[bool], wanted: str) -> None:
    """Raise InputError on the first cell of the column that is not good."""
    bad = column[~good]
    if len(bad):
        place = f"{path}, line {bad.index[0]}, column {bad.name}"
        raise InputError(f"{place}: {bad.iloc[0]!r} is not {wanted}; correct or remove the line")


def typed(path: Path, table: pd.DataFrame, folds: int) -> tuple[pd.DataFrame, pd.Series[int]]:
    """Return the features, shape (rows, 13): int64, float64 and text; and the target, shape (rows,): int64 0 or 1.

    Raises:
        InputError: a cell is not of its column's type, or a class is too rare for the cross-validation.
    """
    import pandas as pd

    features = table[list(COLUMNS)].copy()
    for name in COLUMNS:
        if name == "thal":
            check_cells(path, table[name], table[name] != "", "a word")
            continue
        numbers = pd.to_numeric(table[name], errors="coerce").astype("float64")
        finite = numbers.abs() < 1e9
        if name in WHOLE:
            check_cells(path, table[name], finite & (numbers % 1 == 0), "a whole number")
            features[name] = numbers.astype("int64")
        else:
            check_cells(path, table[name], finite, "a number")
            features[name] = numbers
    check_cells(path, table[TARGET], table[TARGET].isin(["0", "1"]), "0 or 1")
    target = table[TARGET].astype("int64")
    for label in (0, 1):
        if (count := int((target == label).sum())) < folds:
            raise InputError(
                f"{path}: {count} row(s) with {TARGET} {label}; "
                f"training needs both classes, at least {folds} rows of each"
            )
    return features, target


# --- the model


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


# --- where the results go


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give a path to write a folder to; on success it takes the place of `folder`, on failure nothing changes."""
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A sibling, for a rename does not cross file systems; the inner folder gets usual permissions, mkdtemp's does not.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as staging:
        new, old = Path(staging, "new"), Path(staging, "old")
        yield new
        try:
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise


def check_model_folder(folder: Path) -> None:
    """Raise InputError if replacing the folder would delete something that is not a model."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "MLmodel").exists():
        raise InputError(
            f"{folder}: holds files but no MLmodel, so it is not replaced; name another folder with --model"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name another with --model")


def quiet() -> None:
    """Silence what MLflow says about itself, to us (git, migrations) and to others (usage statistics)."""
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    # A tracking server that does not answer is told in seconds, not after MLflow's minutes of trying.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    logging.getLogger("alembic").setLevel(logging.ERROR)


def is_local(tracking: str) -> bool:
    """Whether the tracking store is a database file on this machine."""
    return tracking.startswith("sqlite:")


def choose_experiment(options: Options) -> None:
    """Point MLflow at the tracking store and the experiment, which is made on first use."""
    import mlflow

    mlflow.set_tracking_uri(options.tracking)
    if mlflow.get_experiment_by_name(options.experiment) is None:
        # A server knows where its artifacts belong. A local database does not: it would choose ./mlruns.
        place = options.artifacts.resolve().as_uri() if is_local(options.tracking) else None
        mlflow.create_experiment(options.experiment, artifact_location=place)
    mlflow.set_experiment(options.experiment)


def train(options: Options) -> Evaluation:
    """Train, log and write the model; return its cross-validated scores."""
    features, target = typed(options.data, read_table(options.data), options.folds)
    with replaced(options.model) as folder:
        quiet()
        import mlflow
        import mlflow.sklearn

        arguments = model_arguments(features, options.data)
        evaluation = evaluate(features, target, options.folds, options.repeats)
        model = make_pipeline().fit(features, target)
        mlflow.sklearn.save_model(model, folder, **arguments)
        choose_experiment(options)
        with mlflow.start_run():
            mlflow.log_params(
                {**PARAMETERS, **arguments["metadata"], "folds": options.folds, "repeats": options.repeats}
            )
            for name, values in evaluation.scores.items():
                mlflow.log_metrics({f"cv_{name}_mean": values.mean(), f"cv_{name}_std": values.std()})
            mlflow.log_figure(draw(evaluation), "out_of_fold.png")
            mlflow.sklearn.log_model(model, name="model", **arguments)
        # Too late to stop: what is left takes milliseconds, and must be told as it is.
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    return evaluation


def report(options: Options, evaluation: Evaluation) -> None:
    """Print the scores, and where the model and its run are."""
    from rich.console import Console
    from rich.table import Table

    rows, positive = len(evaluation.truth), int(evaluation.truth.sum())
    table = Table(title=f"Cross-validation on {options.data}: {options.folds} folds x {options.repeats}, rows held out")
    table.add_column("score")
    table.add_column("mean", justify="right")
    table.add_column("± std", justify="right")
    for name, title in SCORES.items():
        values = evaluation.scores[name]
        table.add_row(title, f"{values.mean():.3f}", f"{values.std():.3f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"Trained on all {rows:,} rows, {positive:,} of them with {TARGET} 1. Model: {options.model.resolve()}"
    )
    look = f". To see it: mlflow ui --backend-store-uri {options.tracking}" if is_local(options.tracking) else ""
    console.print(f"Run logged{look}")


def parse(argv: Sequence[str] | None) -> Options:
    """Return the options; end with exit code 2 on arguments that make no sense."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data/train/heart.csv"), help="table with target column")
    parser.add_argument("--model", type=Path, default=Path("model"), help="model folder, replaced whole")
    parser.add_argument("--tracking", default="sqlite:///mlflow.db", help="MLflow tracking URI")
    parser.add_argument("--artifacts", type=Path, default=Path("mlartifacts"), help="folder for a local store's files")
    parser.add_argument("--experiment", default="heart-classifier", help="MLflow experiment")
    parser.add_argument("--folds", type=int, default=5, help="folds of the cross-validation")
    parser.add_argument("--repeats", type=int, default=3, help="how often it is repeated, on other folds")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = Options(**vars(parser.parse_args(argv)))
    if options.folds < 2 or options.repeats < 1:
        parser.error("--folds must be 2 or more, --repeats 1 or more")
    return options


def stop(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception, so that what is half written is removed."""
    raise Stopped(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return the exit code: 0, 2 for input that cannot be used, 1 for another failure."""
    options = parse(argv)
    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    try:
        check_model_folder(options.model)
        evaluation = train(options)
    except InputError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"train: stopped by {stopped}; {options.model} is as it was", file=sys.stderr)
        return 128 + stopped.number
    except Exception as error:
        if options.debug:
            raise
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        print(f"train: {reason}; {options.model} is as it was (--debug shows more)", file=sys.stderr)
        return 1
    report(options, evaluation)
    return 0


if __name__ == "__main__":
    sys.exit(main())
