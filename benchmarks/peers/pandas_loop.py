"""pandas and mlflow.pyfunc in a loop: what most people write first."""

import sys
from pathlib import Path

import mlflow.pyfunc
import pandas as pd


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder one after the other."""
    model = mlflow.pyfunc.load_model(model_folder)
    with open(output, "w", encoding="utf-8") as lines:
        for path in sorted(Path(inputs).glob("*.csv")):
            predictions = model.predict(pd.read_csv(path))
            pd.DataFrame({"prediction": predictions, "file": path.name}).to_csv(lines, header=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
