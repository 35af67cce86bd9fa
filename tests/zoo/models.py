"""The zoo: models of many flavors, each made by a function from a small seed. Runs in the zoo's own environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from zoo import tables

Save = Callable[[Path], None]
NO_PIP: dict[str, Any] = {"pip_requirements": []}  # what a model needs is not looked for, which takes seconds


@dataclass(frozen=True)
class Entry:
    """A model of the zoo, and the table that it scores. `formats` are the files that can hold the table."""

    flavor: str
    name: str
    save: Save
    table: Callable[[], pd.DataFrame]
    formats: tuple[str, ...] = ("csv", "parquet")


ENTRIES: list[Entry] = []


def add(flavor: str, name: str, table: Callable[[], pd.DataFrame], save: Save, formats: str = "csv parquet") -> None:
    """Add a model to the zoo."""
    ENTRIES.append(Entry(flavor, name, save, table, tuple(formats.split())))


def signature_of(table: pd.DataFrame) -> Any:
    """The signature that MLflow infers."""
    from mlflow.models import infer_signature

    return infer_signature(table)


def _estimators() -> dict[str, tuple[Callable[[], Any], Any]]:
    from sklearn import cluster, dummy, ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree

    few = {"n_estimators": 5, "random_state": 0}
    return {
        "logistic": (lambda: linear_model.LogisticRegression(), tables.labels),
        "linear": (lambda: linear_model.LinearRegression(), tables.targets),
        "ridge": (lambda: linear_model.Ridge(), tables.targets),
        "tree": (lambda: tree.DecisionTreeClassifier(random_state=0), tables.labels),
        "tree-regressor": (lambda: tree.DecisionTreeRegressor(random_state=0), tables.targets),
        "forest": (lambda: ensemble.RandomForestClassifier(**few), tables.labels),
        "forest-regressor": (lambda: ensemble.RandomForestRegressor(**few), tables.targets),
        "boosting": (lambda: ensemble.GradientBoostingClassifier(**few), tables.labels),
        "neighbors": (lambda: neighbors.KNeighborsClassifier(), tables.labels),
        "svc": (lambda: svm.SVC(), tables.labels),
        "bayes": (lambda: naive_bayes.GaussianNB(), tables.labels),
        "network": (
            lambda: neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2000, tol=0.1, random_state=0),
            tables.targets,
        ),
        "kmeans": (lambda: cluster.KMeans(3, n_init=1, random_state=0), tables.labels),
        "isolation": (lambda: ensemble.IsolationForest(**few), tables.labels),
        "dummy": (lambda: dummy.DummyClassifier(), tables.labels),
    }


def sklearn_zoo() -> None:
    """Estimators in cloudpickle, some in pickle and skops; pipelines; models of arrays, of two outputs, of texts."""
    for at, (name, (make, target)) in enumerate(_estimators().items()):
        for kind in ("cloudpickle", *(("pickle", "skops") if at < 6 else ())):
            add("sklearn", f"{name}-{kind}", tables.numbers, _estimator(make, target, kind))
    add("sklearn", "hist-holes", tables.holes, _estimator(_hist, tables.labels, "cloudpickle", tables.holes))
    add("sklearn", "singles", tables.singles, _estimator(_linear, tables.targets, "cloudpickle", tables.singles))
    add("sklearn", "array", tables.unnamed, _estimator(_linear, tables.targets, "cloudpickle", tables.unnamed))
    add("sklearn", "array-tensor", tables.numbers, _array_tensor)
    add("sklearn", "no-signature", tables.numbers, _estimator(_linear, tables.targets, "pickle", signature=False))
    add(
        "sklearn", "probabilities", tables.numbers, _estimator(_logistic, tables.labels, "pickle", call="predict_proba")
    )
    add("sklearn", "two-targets", tables.numbers, _estimator(_linear, _two_targets, "pickle"))
    add("sklearn", "text-labels", tables.numbers, _estimator(_logistic, _text_labels, "pickle"))
    add("sklearn", "boolean-labels", tables.numbers, _estimator(_logistic, lambda: tables.labels() > 0, "pickle"))
    logarithms = _estimator(_logistic, tables.labels, "pickle", call="predict_log_proba")
    add("sklearn", "logarithms", tables.numbers, logarithms)
    add("sklearn", "pipeline-mixed", tables.mixed, _estimator(_pipeline, _first, "cloudpickle", tables.mixed))
    add("sklearn", "words", tables.texts, _words)


def _linear() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def _hist() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=3)


def _pipeline() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = make_column_transformer((SimpleImputer(), ["n", "x"]), (OneHotEncoder(), ["color"]))
    return make_pipeline(columns, _logistic())


def _first() -> Any:
    return tables.mixed()["n"].to_numpy() % 3


def _two_targets() -> Any:
    return tables.numbers()[["a", "b"]].to_numpy()


def _text_labels() -> Any:
    import numpy as np

    return np.array(["no", "yes, surely", 'per"haps'])[tables.labels()]


def _estimator(
    make: Callable[[], Any],
    target: Callable[[], Any],
    kind: str,
    table: Callable[[], pd.DataFrame] = tables.numbers,
    signature: bool = True,
    call: str = "predict",
) -> Save:
    def save(folder: Path) -> None:
        import mlflow
        import skops.io

        model = make().fit(table(), target())
        options: dict[str, Any] = {"serialization_format": kind, "pyfunc_predict_fn": call, **NO_PIP}
        if kind == "skops":
            options["skops_trusted_types"] = skops.io.get_untrusted_types(data=skops.io.dumps(model))
        mlflow.sklearn.save_model(model, folder, signature=signature_of(table()) if signature else None, **options)

    return save


def _array_tensor(folder: Path) -> None:
    import mlflow
    from mlflow.models import infer_signature

    array = tables.numbers().to_numpy()
    model = _linear().fit(array, tables.targets())
    mlflow.sklearn.save_model(model, folder, signature=infer_signature(array), serialization_format="pickle", **NO_PIP)


def _words(folder: Path) -> None:
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    table = tables.texts()
    model = make_pipeline(make_column_transformer((TfidfVectorizer(), "value")), _logistic())
    model.fit(table, [1, 0, 0])
    signature = signature_of(table)
    mlflow.sklearn.save_model(model, folder, signature=signature, serialization_format="pickle", **NO_PIP)


def xgboost_zoo() -> None:
    """Boosters and estimators of XGBoost."""

    def save(folder: Path, make: Callable[[Any], Any], table: Callable[[], pd.DataFrame] = tables.numbers) -> None:
        import mlflow
        import xgboost

        mlflow.xgboost.save_model(make(xgboost), folder, signature=signature_of(table()), **NO_PIP)

    few: dict[str, Any] = {"n_estimators": 3, "n_jobs": 1}

    def booster(xgb: Any) -> Any:
        data = xgb.DMatrix(tables.numbers(), tables.labels())
        return xgb.train({"objective": "multi:softprob", "num_class": 3, "nthread": 1}, data, 3)

    def fit(name: str, target: Callable[[], Any], table: Callable[[], pd.DataFrame] = tables.numbers) -> Any:
        return lambda xgb: getattr(xgb, name)(**few).fit(table(), target())

    add("xgboost", "classifier", tables.numbers, lambda f: save(f, fit("XGBClassifier", tables.labels)))
    add("xgboost", "regressor", tables.numbers, lambda f: save(f, fit("XGBRegressor", tables.targets)))
    holes = fit("XGBRegressor", tables.targets, tables.holes)
    add("xgboost", "holes", tables.holes, lambda f: save(f, holes, tables.holes))
    add("xgboost", "booster", tables.numbers, lambda f: save(f, booster))
    add("xgboost", "ranker", tables.numbers, lambda f: save(f, _ranker))


def _ranker(xgb: Any) -> Any:
    return xgb.XGBRanker(n_estimators=3, n_jobs=1).fit(tables.numbers(), tables.labels(), group=[10, 20])


def lightgbm_zoo() -> None:
    """Boosters and estimators of LightGBM."""

    def save(folder: Path, make: Callable[[Any], Any], table: Callable[[], pd.DataFrame] = tables.numbers) -> None:
        import lightgbm
        import mlflow

        mlflow.lightgbm.save_model(make(lightgbm), folder, signature=signature_of(table()), **NO_PIP)

    few: dict[str, Any] = {"n_estimators": 3, "n_jobs": 1, "min_child_samples": 2, "verbose": -1}

    def fit(name: str, target: Callable[[], Any], table: Callable[[], pd.DataFrame] = tables.numbers) -> Any:
        return lambda lgb: getattr(lgb, name)(**few).fit(table(), target())

    def booster(lgb: Any) -> Any:
        options = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
        return lgb.train(options, lgb.Dataset(tables.numbers(), tables.labels()), 3)

    add("lightgbm", "classifier", tables.numbers, lambda f: save(f, fit("LGBMClassifier", tables.labels)))
    add("lightgbm", "regressor", tables.numbers, lambda f: save(f, fit("LGBMRegressor", tables.targets)))
    holes = fit("LGBMRegressor", tables.targets, tables.holes)
    add("lightgbm", "holes", tables.holes, lambda f: save(f, holes, tables.holes))
    add("lightgbm", "booster", tables.numbers, lambda f: save(f, booster))


def catboost_zoo() -> None:
    """Estimators of CatBoost, with texts as categories too."""

    def save(folder: Path, name: str, target: Callable[[], Any], **options: Any) -> None:
        import catboost
        import mlflow

        table = tables.mixed() if options else tables.numbers()
        quiet = {"iterations": 3, "verbose": False, "allow_writing_files": False, "thread_count": 1}
        model = getattr(catboost, name)(**quiet, **options).fit(table, target())
        mlflow.catboost.save_model(model, folder, signature=signature_of(table), **NO_PIP)

    add("catboost", "classifier", tables.numbers, lambda f: save(f, "CatBoostClassifier", tables.labels))
    add("catboost", "regressor", tables.numbers, lambda f: save(f, "CatBoostRegressor", tables.targets))
    categories = {"cat_features": ["color"]}
    add("catboost", "categories", tables.mixed, lambda f: save(f, "CatBoostRegressor", _first, **categories))


def statsmodels_zoo() -> None:
    """Regressions of statsmodels."""

    def save(folder: Path, make: Callable[[Any], Any]) -> None:
        import mlflow
        import statsmodels.api

        model = make(statsmodels.api)
        mlflow.statsmodels.save_model(model, folder, signature=signature_of(tables.numbers()), **NO_PIP)

    add(
        "statsmodels",
        "ols",
        tables.numbers,
        lambda f: save(f, lambda sm: sm.OLS(tables.targets(), tables.numbers()).fit()),
    )
    add("statsmodels", "glm", tables.numbers, lambda f: save(f, _glm))


def _glm(sm: Any) -> Any:
    return sm.GLM(tables.labels() > 0, tables.numbers(), family=sm.families.Binomial()).fit()


def onnx_zoo() -> None:
    """Estimators converted to ONNX, with a tensor, and with one that has a name."""

    def convert(make: Callable[[], Any], target: Any) -> Any:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

        model = make().fit(tables.singles(), target)
        kind = FloatTensorType if make is not _linear else DoubleTensorType
        return convert_sklearn(model, initial_types=[("x", kind([None, 3]))], options=_no_maps(model))

    def save(folder: Path, make: Callable[[], Any], target: Callable[[], Any], signature: Any) -> None:
        import mlflow

        mlflow.onnx.save_model(convert(make, target()), folder, signature=signature, **NO_PIP)

    def tensor(dtype: str, name: str | None = None) -> Any:
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        return ModelSignature(Schema([TensorSpec(np.dtype(dtype), (-1, 3), name)]))

    add("onnx", "linear", tables.numbers, lambda f: save(f, _linear, tables.targets, tensor("float64")))
    add("onnx", "logistic", tables.singles, lambda f: save(f, _logistic, tables.labels, tensor("float32")))
    add("onnx", "named", _pixels, lambda f: save(f, _logistic, tables.labels, tensor("float32", "x")), "parquet")


def _no_maps(model: Any) -> dict[int, dict[str, bool]]:
    return {id(model): {"zipmap": False}} if hasattr(model, "classes_") else {}


def _pixels() -> pd.DataFrame:
    return pd.DataFrame({"x": [row.tolist() for row in tables.singles().to_numpy()[:4]]})


def spacy_zoo() -> None:
    """A text classifier of spaCy."""

    def save(folder: Path) -> None:
        import mlflow
        import spacy

        pipeline = spacy.blank("en")
        classifier: Any = pipeline.add_pipe("textcat")
        for label in ("good", "bad"):
            classifier.add_label(label)
        pipeline.initialize()
        mlflow.spacy.save_model(pipeline, folder, signature=signature_of(tables.texts()), **NO_PIP)

    add("spacy", "textcat", tables.texts, save)
