"""The model's folder: replaced whole, or left alone where training gave the same model again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from scripts.training.model import TRUSTED_TYPES
from scripts.training.table import InputError

if TYPE_CHECKING:
    import pandas as pd

# What MLflow writes anew each time. (conda.yaml and python_env.yaml repeat MLmodel and requirements.txt, and name the
# machine's pip and the patch of its Python: only their presence is compared.)
VOLATILE = ("model_id", "model_size_bytes", "model_uuid", "run_id", "utc_time_created")
CLOSE = 1e-6  # probabilities of one model on two kinds of processor


def check_model_folder(folder: Path) -> None:
    """Raise InputError if replacing the folder would delete something that is not a model."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "MLmodel").exists():
        raise InputError(
            f"{folder}: holds files but no MLmodel, so it is not replaced; name another folder with --model"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name another with --model")


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a path beside `folder` to write a new one to, for `replace`. It is gone at the end."""
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A sibling, for a rename does not cross file systems; the inner folder gets usual permissions, mkdtemp's does not.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as staging:
        yield Path(staging, "new")


def replace(folder: Path, new: Path) -> None:
    """Put the folder `new`, of `staged`, in the place of `folder`; on failure nothing changes."""
    folder, old = folder.resolve(), new.with_name("old")
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise


def is_same(old: Path, new: Path, features: pd.DataFrame) -> bool:
    """Whether two model folders differ in nothing that counts.

    The same are: files, signature, example, pinned versions, Python's minor version, and predictions for `features`.
    """
    return _content(old) == _content(new) and _predict_alike(old, new, features)


def _content(folder: Path) -> dict[str, Any]:
    """What can be compared without loading the model; empty if the folder holds no readable model."""
    try:
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        content: dict[str, Any] = dict.fromkeys(files)
        for name, path in files.items():
            if path.suffix in (".txt", ".json"):
                content[name] = path.read_text(encoding="utf-8")
        document = yaml.safe_load(files["MLmodel"].read_text(encoding="utf-8"))
        function = document["flavors"]["python_function"]
        function["python_version"] = function["python_version"].split(".")[:2]
        document["signature"] = {key: json.loads(text) for key, text in document["signature"].items() if text}
        content["MLmodel"] = {key: value for key, value in document.items() if key not in VOLATILE}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError):
        return {}
    return content


def _predict_alike(old: Path, new: Path, features: pd.DataFrame) -> bool:
    import numpy as np
    import skops.io

    try:
        models = [skops.io.load(folder / "model.skops", trusted=TRUSTED_TYPES) for folder in (old, new)]
        left, right = (model.predict_proba(features) for model in models)
    except Exception:  # a model of other versions fails in their ways, and is another one
        return False
    return left.shape == right.shape and bool(
        np.array_equal(left.argmax(axis=1), right.argmax(axis=1)) and np.allclose(left, right, rtol=0, atol=CLOSE)
    )
