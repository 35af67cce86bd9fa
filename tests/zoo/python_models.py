"""The PythonModels of the zoo: every type hint, signature and kind of answer. Runs in the zoo's own environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from zoo import tables
from zoo.models import NO_PIP, add

HEAD = """
import datetime, decimal
from typing import Any, Optional
import mlflow, numpy as np, pandas as pd, pydantic
from scipy import sparse

class Record(pydantic.BaseModel):
    name: str
    n: int
    x: float

class Optionals(Record):
    ok: Optional[bool] = None
    count: Optional[int] = None

class Label(pydantic.BaseModel):
    name: str
    score: float

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, {context}model_input{hint}, params=None):
        n = len(model_input)
        return {answer}

mlflow.models.set_model(Model())
"""
DAY = "datetime.datetime(2024, 1, 31, 12, 30)"
# Type hint -> what is answered, and the table.
HINTS: dict[str, tuple[str, str, Callable[[], pd.DataFrame], str]] = {
    "records": ("list[Record]", "[r.model_dump_json() for r in model_input]", tables.records, "csv parquet"),
    "optional": ("list[Optionals]", "[repr(r) for r in model_input]", tables.optional, "csv parquet"),
    "str": ("list[str]", "[t.upper() for t in model_input]", tables.texts, "csv parquet"),
    "str-of-several": ("list[str]", "[t.upper() for t in model_input]", tables.mixed, "csv parquet"),
    "str-of-digits": ("list[str]", "[t + '!' for t in model_input]", lambda: tables.column("007", "1"), "csv parquet"),
    "int": ("list[int]", "[v + 1 for v in model_input]", lambda: tables.column(1, 2**53 + 1), "csv parquet"),
    "float": ("list[float]", "[v / 3 for v in model_input]", lambda: tables.column(0.5, 1e300), "csv parquet"),
    "whole-float": ("list[float]", "[v / 3 for v in model_input]", lambda: tables.column(1.0, 2.0), "csv parquet"),
    "bool": ("list[bool]", "[not v for v in model_input]", lambda: tables.column(True, False), "csv parquet"),
    "datetime": ("list[datetime.datetime]", "list(model_input)", lambda: tables.typed()[["datetime"]], "csv parquet"),
    "bytes": ("list[bytes]", "[len(v) for v in model_input]", lambda: tables.column(b"a", b"bc"), "parquet"),
    "lists": ("list[list[float]]", "[sum(v) for v in model_input]", lambda: tables.nested()[["list"]], "parquet"),
    "any": ("list[Any]", "[str(v) for v in model_input]", tables.texts, "csv parquet"),
    "dict-of-str": ("list[dict[str, str]]", "[sorted(r) for r in model_input]", tables.texts, "csv parquet"),
    "dict-of-any": (
        "list[dict[str, Any]]",
        "[sorted(r) for r in model_input]",
        lambda: tables.nested()[["object"]],
        "parquet",
    ),
    "frame": ("pd.DataFrame", "model_input['a'] * 2", tables.numbers, "csv parquet"),
}
# What is answered to a table of numbers, with a signature.
ANSWERS = {
    "array": "model_input['a'].to_numpy()",
    "array-of-32-bits": "model_input['a'].to_numpy().astype('float32')",
    "array-of-16-bits": "model_input['a'].to_numpy().astype('float16')",
    "matrix": "model_input.to_numpy()",
    "cube": "np.arange(n * 8).reshape(n, 2, 4)",
    "column": "model_input[['a']].to_numpy()",
    "series": "model_input['a']",
    "series-backwards": "model_input['a'][::-1]",
    "frame": "model_input.assign(t=['x, y'] * n, k=range(n))",
    "frame-with-index": "model_input.set_index('a')",
    "list": "model_input['a'].tolist()",
    "list-of-lists": "model_input.to_numpy().tolist()",
    "list-of-dicts": "[{'label': 'é', 'scores': [1, 0.5, None], 'at': " + DAY + "} for _ in range(n)]",
    "list-of-models": "[Label(name='a', score=0.5) for _ in range(n)]",
    "list-of-mixed": "[1, 'a', None, 2.5, True] * (n // 5)",
    "dict-of-arrays": "{'a': model_input['a'].to_numpy(), 'k': np.arange(n), 't': ['x'] * n}",
    "dict-of-matrices": "{'m': model_input.to_numpy().astype('float32')}",
    "texts": "['a, b', 'c \"d\"', 'two\\nlines', '', ' '] * (n // 5)",
    "whole": "np.arange(n, dtype='int64') + 2**53 + 1",
    "unsigned": "np.arange(n, dtype='uint64') + np.uint64(2**63)",
    "booleans": "model_input['a'].to_numpy() > 0",
    "nullable-whole": "pd.Series(pd.array([1, None] * (n // 2), dtype='Int64'))",
    "nullable-float": "pd.Series(pd.array([0.1, None] * (n // 2), dtype='Float32'))",
    "nan-and-infinite": "np.array([np.nan, np.inf, -np.inf, -0.0, 1e-7] * (n // 5))",
    "masked": "np.ma.MaskedArray(np.arange(n), mask=[True, False] * (n // 2))",
    "masked-matrix": "np.ma.MaskedArray(np.arange(n * 2).reshape(n, 2), mask=[[True, False]] * n)",
    "categories": "pd.Series(['a', None] * (n // 2), dtype='category')",
    "arrow": "pd.Series([1, None] * (n // 2), dtype='int64[pyarrow]')",
    "arrow-texts": "pd.Series(['a', None] * (n // 2), dtype='string[pyarrow]')",
    "times": "pd.Series([" + DAY + ", None] * (n // 2))",
    "times-with-zone": "pd.Series([" + DAY + "] * n).dt.tz_localize('Europe/Berlin')",
    "numpy-times": "np.array(['2024-01-31T12:30:00.5', 'NaT'] * (n // 2), dtype='datetime64[ms]')",
    "durations": "pd.Series(pd.to_timedelta([1.5] * n, unit='s'))",
    "decimals": "[decimal.Decimal('1.10')] * n",
    "sparse": "sparse.csr_matrix(np.eye(n))",
    "objects": "np.array([[1, 'a'], [None, 2.5]] * (n // 2), dtype=object)",
    "tuples": "[(1, 'a')] * n",
    "generator": "(v for v in model_input['a'])",
    "dropped": "model_input['a'][model_input['a'] > 0]",
    "doubled": "np.repeat(model_input['a'].to_numpy(), 2)",
}


def _save(name: str, folder: Path, text: str, **options: Any) -> None:
    import mlflow

    code = folder.with_suffix(".py")
    code.write_text(text, encoding="utf-8")
    mlflow.pyfunc.save_model(folder, python_model=str(code), **NO_PIP, **options)


def _hinted(name: str) -> Callable[[Path], None]:
    hint, answer, _, _ = HINTS[name]
    return lambda folder: _save(name, folder, HEAD.format(context="", hint=f": {hint}", answer=answer))


def _answering(name: str, answer: str, make_signature: Callable[[], Any] | None) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        signature = make_signature() if make_signature else None
        _save(name, folder, HEAD.format(context="context, ", hint="", answer=answer), signature=signature)

    return save


def _inferred(table: Callable[[], pd.DataFrame]) -> Callable[[], Any]:
    def infer() -> Any:
        from mlflow.models import infer_signature

        return infer_signature(table())

    return infer


def _columns(*columns: tuple[str, str | int | None], required: bool = True) -> Callable[[], Any]:
    def make() -> Any:
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        specs = [
            ColSpec(kind, name, required=required) if name is not None else ColSpec(kind) for kind, name in columns
        ]
        return ModelSignature(Schema(specs))

    return make


def python_zoo() -> None:
    """PythonModels by type hints, by answers, and by signatures."""
    for name, (_, _, table, formats) in HINTS.items():
        add("python", f"hint-{name}", table, _hinted(name), formats)
    for name, answer in ANSWERS.items():
        add("python", f"answer-{name}", tables.numbers, _answering(name, answer, _inferred(tables.numbers)))
    seen = "[[repr(v) for v in row] for row in model_input.itertuples(index=False)]"
    kinds = [str(kind) for kind in tables.typed()]
    for kind in kinds:
        add("python", f"type-{kind}", _only(kind), _answering(kind, seen, _columns((kind, kind))))
    add("python", "types", tables.typed, _answering("types", seen, _columns(*zip(kinds, kinds, strict=True))))
    doubles = _columns(("double", 0), ("double", 1), ("double", 2))
    add(
        "python", "names-are-numbers", tables.unnamed, _answering("numbers", "model_input[2] - model_input[0]", doubles)
    )
    unnamed = _columns(("double", None), ("double", None))
    add("python", "without-names", tables.numbers, _answering("unnamed", "model_input.sum(axis=1)", unnamed))
    few = _columns(("double", "a"), ("double", "absent"), required=False)
    add(
        "python", "optional", tables.numbers, _answering("optional", "model_input['a'] * len(model_input.columns)", few)
    )
    add("python", "without-signature", tables.mixed, _answering("plain", "model_input['color'].str.len()", None))
    nested = "[repr((list(row[0]), row[1], row[2])) for row in model_input.itertuples(index=False)]"
    add("python", "nested", tables.nested, _answering("nested", nested, _inferred(tables.nested)), "parquet")
    add(
        "python",
        "tensor",
        tables.pictures,
        _answering("tensor", "model_input['pixels'].sum(axis=(1, 2))", _pixels),
        "parquet",
    )
    scalars = _answering("scalars", "model_input['n'] + model_input['x'].ravel()", _scalars)
    add("python", "tensors-of-scalars", tables.scalars, scalars)
    add("python", "decimals", tables.decimals, _answering("decimals", "model_input['value'] * 2", None), "parquet")


def _only(kind: str) -> Callable[[], pd.DataFrame]:
    return lambda: tables.typed()[[kind]]


def _scalars() -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    shapes = {"n": ("int64", (-1,)), "x": ("float32", (-1, 1))}
    return ModelSignature(Schema([TensorSpec(np.dtype(kind), shape, name) for name, (kind, shape) in shapes.items()]))


def _pixels() -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    return ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, 2, 2), "pixels")]))
