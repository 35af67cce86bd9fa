"""Ray Data: `map_batches` on an actor for each core; together they leave half of the CPUs to the readers."""

import os
import sys
from typing import Any

import mlflow.pyfunc
import pandas as pd
import ray


class Predictor:
    """Scores batches; Ray makes one in each actor."""

    def __init__(self, model_folder: str) -> None:
        self.model: Any = mlflow.pyfunc.load_model(model_folder)

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        files = batch.pop("path").map(os.path.basename)
        return pd.DataFrame({"prediction": self.model.predict(batch), "file": files})


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder; number the rows of each file as they stand in it."""
    ray.init(include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    rows = ray.data.read_csv(inputs, include_paths=True)
    scored = rows.map_batches(
        Predictor,
        fn_constructor_args=[model_folder],
        batch_format="pandas",
        batch_size=None,
        concurrency=os.cpu_count(),
        num_cpus=0.5,
    ).to_pandas()
    scored.insert(0, "row", scored.groupby("file").cumcount())
    scored.to_csv(output, header=False, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
