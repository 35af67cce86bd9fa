"""Make MLflow models of one generation, tables to score, and what the models themselves predict for them.

Runs under the interpreter of an old environment: `python make_models.py FOLDER` writes `FOLDER/NAME/model`,
`FOLDER/NAME/input/*.csv` and `FOLDER/NAME/predictions.json`: file name -> {"dtype": ..., "values": [...]}.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import mlflow.pyfunc
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost
from mlflow.models.signature import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

try:  # scikit-learn 1.0 and later
    from sklearn.ensemble import HistGradientBoostingClassifier
except ImportError:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.experimental import enable_hist_gradient_boosting  # noqa: F401

PACKAGES = ("mlflow", "scikit-learn", "pandas", "numpy", "cloudpickle", "xgboost", "scipy")
ROWS = (40, 1, 7)
WORDS = ("red", "green", "blue", "old", "new", "small", "large", "\u00e9t\u00e9")
Fitted = Tuple[Any, pd.DataFrame]


class Doubler(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model of the user's own: pickled with its class, for no package has it."""

    def __init__(self, column: str) -> None:
        self.column = column

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Return twice a column, and a constant where it is missing."""
        return (model_input[self.column] * 2).fillna(-1.0).to_numpy()


def numbers(rows: int, seed: int) -> pd.DataFrame:
    """Return a table of doubles, some missing in the last column."""
    random = np.random.RandomState(seed)
    table = pd.DataFrame(random.normal(size=(rows, 5)), columns=list("abcde"))
    table["count"] = random.randint(0, 9, size=rows)
    table["gap"] = np.where(random.uniform(size=rows) < 0.2, np.nan, random.normal(size=rows))
    return table


def texts(rows: int, seed: int) -> pd.DataFrame:
    """Return a table with a category and a text beside numbers."""
    random = np.random.RandomState(seed)
    table = numbers(rows, seed)[["a", "b"]]
    table["colour"] = random.choice(WORDS[:3], size=rows)
    table["note"] = [" ".join(random.choice(WORDS, size=4)) for _ in range(rows)]
    return table


def classes(table: pd.DataFrame) -> Any:
    """Return a class for each row."""
    return (table["a"] + table["b"] ** 2 > 0.5).astype(int)


def filled(rows: int, seed: int) -> pd.DataFrame:
    """Return a table without missing values."""
    return numbers(rows, seed).drop(columns="gap")


def fit(model: Any, table: pd.DataFrame, target: Any = None) -> Any:
    """Fit a model and return it."""
    return model.fit(table, classes(table) if target is None else target)


def text_pipeline(table: pd.DataFrame) -> Any:
    """Return a pipeline of words, categories and numbers; its classes are texts."""
    columns = ColumnTransformer(
        [
            ("note", TfidfVectorizer(), "note"),
            ("colour", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
            ("numbers", StandardScaler(), ["a", "b"]),
        ]
    )
    return fit(make_pipeline(columns, LogisticRegression()), table, np.where(classes(table) == 1, "yes", "no, thanks"))


def booster(table: pd.DataFrame) -> Any:
    """Return a Booster, which predicts probabilities of 32 bits."""
    matrix = xgboost.DMatrix(table, label=classes(table))
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, matrix, 20)


def xgb() -> Any:
    """Return a small XGBClassifier."""
    return xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1)


# Name -> the table that it is for, how it is fitted, and how it is saved.
Table = Callable[[int, int], pd.DataFrame]
MODELS: Dict[str, Tuple[Table, Callable[[pd.DataFrame], Any], str]] = {
    "logistic": (filled, lambda table: fit(LogisticRegression(max_iter=500), table), "sklearn"),
    "forest": (filled, lambda table: fit(RandomForestClassifier(60, random_state=1), table), "sklearn"),
    "gradient": (
        filled,
        lambda table: fit(GradientBoostingRegressor(random_state=1), table, table["a"] * 2),
        "sklearn",
    ),
    "histogram": (numbers, lambda table: fit(HistGradientBoostingClassifier(random_state=1), table), "sklearn"),
    "text": (texts, text_pipeline, "sklearn"),
    "xgb": (numbers, lambda table: fit(xgb(), table), "xgboost"),
    "xgb-pipeline": (filled, lambda table: fit(make_pipeline(StandardScaler(), xgb()), table), "sklearn"),
    "booster": (numbers, booster, "xgboost"),
    "python": (numbers, lambda table: Doubler("gap"), "pyfunc"),
}


def save(folder: Path, name: str) -> None:
    """Fit, save, load again and predict one model."""
    table, fitted, flavor = MODELS[name]
    model, sample = fitted(table(300, 0)), table(5, 1)
    requirements = [f"{package}=={version(package)}" for package in PACKAGES]
    signature = infer_signature(sample)
    options = {"path": str(folder / "model"), "signature": signature, "pip_requirements": requirements}
    if flavor == "sklearn":
        mlflow.sklearn.save_model(model, serialization_format="cloudpickle", **options)
    elif flavor == "xgboost":
        mlflow.xgboost.save_model(model, **options)
    else:
        mlflow.pyfunc.save_model(python_model=model, **options)
    loaded = mlflow.pyfunc.load_model(str(folder / "model"))
    (folder / "input").mkdir()
    predictions = {}
    for at, rows in enumerate(ROWS):
        path = folder / "input" / f"part-{at}.csv"
        table(rows, 10 + at).to_csv(path, index=False)
        values = np.asarray(loaded.predict(pd.read_csv(path)))
        predictions[path.name] = {"dtype": str(values.dtype), "values": values.tolist()}
    (folder / "predictions.json").write_text(json.dumps(predictions), encoding="utf-8")


def main(target: Path) -> None:
    """Make all models; the folder appears whole or not at all."""
    warnings.simplefilter("ignore")
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    for name in MODELS:
        (partial / name).mkdir(parents=True)
        save(partial / name, name)
    partial.rename(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
