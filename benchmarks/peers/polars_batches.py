"""Polars reads, a batch of rows at a time; each goes through mlflow.pyfunc as a pandas table."""

import sys
from pathlib import Path

import mlflow.pyfunc
import polars as pl

ROWS = 100_000


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder one after the other; number the rows of each file as they stand in it."""
    model = mlflow.pyfunc.load_model(model_folder)
    with open(output, "w", encoding="utf-8") as lines:
        for path in sorted(Path(inputs).glob("*.csv")):
            row = 0
            for batch in pl.scan_csv(path).collect_batches(chunk_size=ROWS, maintain_order=True):
                predictions = model.predict(batch.to_pandas())
                scored = pl.DataFrame({"row": range(row, row + len(batch)), "prediction": predictions})
                scored.with_columns(file=pl.lit(path.name)).write_csv(lines, include_header=False)
                row += len(batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
