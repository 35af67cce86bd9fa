"""Train the heart classifier and write it as an MLflow model.

One scikit-learn pipeline goes from the raw columns to 0 (healthy) or 1 (diseased). Its cross-validated scores are
printed and, with parameters, pictures and model, logged to the MLflow store of the local workspace, where the runs of
jobs are too. The model folder is replaced whole at the very end: whatever goes wrong before that leaves the old one as
it was, and so does a training that gives the same model again.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.training.folder import check_model_folder, is_same, replace, staged
from scripts.training.model import PARAMETERS, SCORES, Evaluation, draw, evaluate, make_pipeline, model_arguments
from scripts.training.store import TrackingStore, note_run, store_of, uuid_of
from scripts.training.table import TARGET, InputError, read_table, typed

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    tracking: str | None
    artifacts: Path
    experiment: str
    folds: int
    repeats: int
    debug: bool


def quiet() -> None:
    """Silence what MLflow says about itself, to us (git, migrations) and to others (usage statistics)."""
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    # A tracking server that does not answer is told in seconds, not after MLflow's minutes of trying.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    logging.getLogger("alembic").setLevel(logging.ERROR)


def choose_experiment(store: TrackingStore, name: str) -> None:
    """Point MLflow at the tracking store and the experiment, which is made on first use."""
    import mlflow

    mlflow.set_tracking_uri(store.uri)
    with store.opened():
        if mlflow.get_experiment_by_name(name) is None:
            # A server knows where its artifacts belong. A local database does not: it would choose ./mlruns.
            place = (store.artifacts / name).resolve().as_uri() if store.artifacts else None
            mlflow.create_experiment(name, artifact_location=place)
    mlflow.set_experiment(name)


def train(options: Options, store: TrackingStore) -> tuple[Evaluation, bool]:
    """Train, log and write the model; return its cross-validated scores, and whether the model differs from the old.

    The model's folder names the run; where it is left untouched, the run names the model that it made again.
    """
    features, target = typed(options.data, read_table(options.data), options.folds)
    with staged(options.model) as folder:
        quiet()
        import mlflow
        import mlflow.sklearn

        arguments = model_arguments(features, options.data)
        evaluation = evaluate(features, target, options.folds, options.repeats)
        model = make_pipeline().fit(features, target)
        mlflow.sklearn.save_model(model, folder, **arguments)
        choose_experiment(store, options.experiment)
        changed = not is_same(options.model, folder, features)
        with mlflow.start_run() as run:
            mlflow.log_params(
                {**PARAMETERS, **arguments["metadata"], "folds": options.folds, "repeats": options.repeats}
            )
            for name, values in evaluation.scores.items():
                mlflow.log_metrics({f"cv_{name}_mean": values.mean(), f"cv_{name}_std": values.std()})
            mlflow.log_figure(draw(evaluation), "out_of_fold.png")
            mlflow.sklearn.log_model(model, name="model", **arguments)
            mlflow.set_tag("model_uuid", uuid_of(folder if changed else options.model))
        note_run(folder, run.info.run_id)
        # Too late to stop: what is left takes milliseconds, and must be told as it is.
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if changed:
            replace(options.model, folder)
    return evaluation, changed


def report(options: Options, store: TrackingStore, evaluation: Evaluation, changed: bool) -> None:
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
    if not changed:
        console.print("It is left untouched: predictions, signature and pinned versions are the same as before")
    look = f". To see it: mlflow ui --backend-store-uri {store.uri}" if store.is_local else f" to {store.uri}"
    console.print(f"Run logged{look}")


def parse(argv: Sequence[str] | None) -> Options:
    """Return the options; end with exit code 2 on arguments that make no sense."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data/train/heart.csv"), help="table with target column")
    parser.add_argument("--model", type=Path, default=Path("model"), help="model folder, replaced whole")
    parser.add_argument("--tracking", help="MLflow tracking URI; else MLFLOW_TRACKING_URI, else the local workspace's")
    parser.add_argument(
        "--artifacts", type=Path, default=Path("mlartifacts"), help="folder for the files of a local --tracking"
    )
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
        store = store_of(options.tracking, options.artifacts)
        evaluation, changed = train(options, store)
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
    report(options, store, evaluation, changed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
