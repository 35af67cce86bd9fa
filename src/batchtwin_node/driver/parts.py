"""Some rows of a file at a time (`--split-rows`), and whether that gives what the whole file would.

It does if the model treats rows one by one. For each part that is tried on some of its rows, in another order: a model
that looks at the rows before or after, or at all of them, answers differently there. Of a small part these are all of
its rows, in two halves: one of them lacks the largest, whatever the model looks for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from batchtwin_node.protocol import FilePart
from batchtwin_node.readers import ending
from batchtwin_node.readers.bad_file import BadFileError, NotInPartsError
from batchtwin_node.readers.signature import Signature
from batchtwin_node.script.results import OutputLines, is_table
from batchtwin_node.writers.predictions import rows_of, tabular_lines

if TYPE_CHECKING:
    import pandas as pd

    from batchtwin_node.writers.predictions import Rows

    Predict = Callable[[pd.DataFrame], object]

# So many of a part's rows are predicted twice at most, in two halves.
MOST_ROWS = 2000
NOT_ROW_WISE = "the model does not treat rows one by one"


def score_part(path: str, part: FilePart, signature: Signature | None, predict: Predict) -> OutputLines:
    """Return the lines of some rows of a file.

    Raises:
        NotInPartsError: the whole file would not give these lines, or it is not known.
        BadFileError: the file is not what the signature asks for.
    """
    frame = _read(path, part, signature)
    if len(frame) != part.rows:
        raise NotInPartsError(f"{os.path.basename(path)}: some lines of it are no rows")
    sample = Random(part.row).sample(range(part.rows), min(MOST_ROWS, part.rows))  # noqa: S311
    halves = [half for half in (sample[::2], sample[1::2]) if half]
    alone = [_sample_alone(frame, half, predict) for half in halves]
    rows = rows_of(predict(frame))
    if len(rows) != part.rows or [tabular_lines(_take(rows, half), "") for half in halves] != alone:
        raise NotInPartsError(NOT_ROW_WISE)
    return tabular_lines(rows, os.path.basename(path), part.row)


def _sample_alone(frame: pd.DataFrame, sample: list[int], predict: Predict) -> OutputLines:
    """Predict a copy: the model may write to what it gets."""
    try:
        return tabular_lines(predict(frame.iloc[sample].reset_index(drop=True).copy()), "")
    except Exception:
        raise NotInPartsError(NOT_ROW_WISE) from None


def _take(rows: Rows, sample: list[int]) -> Rows:
    return rows.iloc[sample] if is_table(rows) else rows[sample]


def _read(path: str, part: FilePart, signature: Signature | None) -> pd.DataFrame:
    if signature is None:
        raise NotInPartsError("the model has no signature")
    if signature.records:
        raise NotInPartsError("the signature of the model was made of a type hint")
    if ending(path) == ".csv":
        from batchtwin_node.readers import csv_part

        return csv_part.read(path, part, signature)
    from batchtwin_node.readers import parquet_file

    try:
        return parquet_file.read(path, signature, range(part.start, part.start + part.length))
    except BadFileError:
        parquet_file.read(path, signature)  # tells the first such place in the whole file
        raise NotInPartsError("only the whole file can be read") from None
