"""The floor of the work: read, encode, predict, write with pyarrow and XGBoost directly, on one core.

`floor.py MODEL INPUT_DIR OUTPUT_FILE` prints the seconds after import and load, of a process that is already warm.
Nothing is checked on the way, no signature is enforced; it knows the two steps of this model's pipeline.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import mlflow.sklearn
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

Floats = npt.NDArray[np.float32]
Column = Callable[[pa.RecordBatch], Iterator[Floats]]

BLOCK_BYTES = 1 << 22  # of text; the fastest of those tried


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder one after the other; print the seconds that it took."""
    columns, booster = load(model_folder)
    paths = sorted(Path(inputs).glob("*.csv"))
    with open(output, "wb") as lines:
        began = time.perf_counter()
        for path in paths:
            score(path, columns, booster, lines)
        lines.flush()
        print(time.perf_counter() - began)


def load(model_folder: str) -> tuple[Sequence[Column], Any]:
    """Return what makes the booster's input columns, in its order, and the booster."""
    encoder, classifier = (step for _, step in mlflow.sklearn.load_model(model_folder).steps)
    columns: list[Column] = []
    for _, transformer, names in encoder.transformers_:
        categories = getattr(transformer, "categories_", [None] * len(names))
        columns += [column(name, values) for name, values in zip(names, categories, strict=True)]
    booster = classifier.get_booster()
    booster.set_param({"nthread": 1})
    booster.inplace_predict(np.zeros((1, booster.num_features()), np.float32))  # what is done once only is done now
    return columns, booster


def column(name: str, categories: Sequence[object] | None) -> Column:
    """Return what takes a column from a batch: as it is, or one column of 0 and 1 for each category."""
    if categories is None:
        return lambda batch: iter([batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32)])

    def encode(batch: pa.RecordBatch) -> Iterator[Floats]:
        codes = pc.index_in(batch.column(name), value_set=values).fill_null(-1).to_numpy(zero_copy_only=False)
        return ((codes == code).astype(np.float32) for code in range(len(values)))

    values = pa.array(list(categories))
    return encode


def score(path: Path, columns: Sequence[Column], booster: Any, lines: IO[bytes]) -> None:
    """Score one file, a block of text at a time."""
    read = csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    write = csv.WriteOptions(include_header=False, quoting_style="none")
    row = 0
    with csv.open_csv(path, read_options=read) as batches:
        for batch in batches:
            table = np.stack([values for column in columns for values in column(batch)], axis=1)
            predictions = (booster.inplace_predict(table) > 0.5).astype(np.int8)
            rows = np.arange(row, row + len(predictions))
            names = pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), [path.name]).dictionary_decode()
            csv.write_csv(pa.record_batch([rows, predictions, names], names=["", " ", "  "]), lines, write)
            row += len(predictions)


if __name__ == "__main__":
    main(*sys.argv[1:])
