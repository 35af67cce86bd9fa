"""The zoo's own environment, made once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from old_environments import ROOT, Environment, make

HERE = Path(__file__).parent
ENVIRONMENT = Environment(
    "zoo",
    "3.11",
    (
        "mlflow==3.17.2",
        "scikit-learn==1.9.1",
        "pandas==3.1.1",
        "numpy==2.4.6",
        "pyarrow==25.0.1",
        "skops==0.16.0",
        "xgboost==3.2.0",
        "lightgbm==4.7.0",
        "catboost==1.2.10",
        "statsmodels==0.15.0",
        "onnx==1.23.2",
        "onnxruntime==1.32.0",
        "skl2onnx==1.20.0",
        "spacy==3.8.18",
    ),
    is_generation=False,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: `make test-zoo` runs them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.zoo)


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """The Python of the environment."""
    if not make(ENVIRONMENT):
        pytest.fail(f"the zoo needs Python {ENVIRONMENT.python}")
    return ENVIRONMENT.interpreter


@pytest.fixture(scope="session")
def models() -> Iterator[Path]:
    """The folder of the models, which are made once by this version of the zoo."""
    sources = b"".join((HERE / name).read_bytes() for name in ("models.py", "python_models.py", "tables.py"))
    folder = ROOT / "build/zoo" / hashlib.sha256(sources + str(ENVIRONMENT.folder).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
