"""Two small models for whole jobs, made by an old environment: `python make_job_models.py FOLDER`.

`table` adds two columns; `image` returns the mean of each picture. Both are pickled with their classes.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.models.signature import ModelSignature
from mlflow.types.schema import ColSpec, Schema, TensorSpec


class Adder(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Adds a whole number and a double."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Return one sum for each row."""
        return (model_input["count"] + model_input["value"]).to_numpy()


class Mean(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """The mean of all pixels."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Return one mean for each picture."""
        return np.asarray(model_input).reshape(len(model_input), -1).mean(axis=1)


def main(folder: Path) -> None:
    """Save both."""
    warnings.simplefilter("ignore")
    columns = Schema([ColSpec("integer", "count"), ColSpec("double", "value")])
    pixels = Schema([TensorSpec(np.dtype("uint8"), (-1, 2, 2, 3))])
    for name, model, inputs in (("table", Adder(), columns), ("image", Mean(), pixels)):
        signature = ModelSignature(inputs=inputs)
        mlflow.pyfunc.save_model(
            str(folder / name), python_model=model, signature=signature, pip_requirements=["mlflow"]
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
