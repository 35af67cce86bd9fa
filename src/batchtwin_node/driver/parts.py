"""Some rows of a file at a time (`--split-rows`), and the check that this gives what the whole file would.

It does if the model treats rows one by one. To check that, some rows of each part are predicted again in another order:
a model that looks at the rows before or after, or at all of them, answers differently. Of a small part these are all
rows, in two halves: one of them lacks the largest, whatever the model looks for.

All rows of a part may have something in common that another part lacks, such as a missing value that turns whole
numbers into floats. To find that, some of them are predicted together with the first rows of the file: either side
would then be written differently. So all parts agree with the first rows, and so does the whole file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
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

# The most rows of a part that are predicted again, in two halves.
MOST_ROWS = 2000
# How many first rows of the file some rows of each part are predicted with.
FIRST_ROWS = 200
NOT_ROW_WISE = "the model does not treat rows one by one"


def score_part(path: str, part: FilePart, signature: Signature | None, predict: Predict) -> OutputLines:
    """Return the lines of some rows of a file.

    Raises:
        NotInPartsError: the whole file would not give these lines, or it is not known.
        BadFileError: the file is not what the signature requires.
    """
    frame = _read(path, part, signature)
    if len(frame) != part.rows:
        raise NotInPartsError(f"{os.path.basename(path)}: some lines of it are no rows")
    sample = Random(part.row).sample(range(part.rows), min(MOST_ROWS, part.rows))  # noqa: S311
    halves = [half for half in (sample[::2], sample[1::2]) if half]
    alone = [tabular_lines(_apart(frame.iloc[half], predict), "") for half in halves]
    _check_with_first_rows(_first_rows(path, part.header, signature, predict), frame.iloc[halves[0]], alone[0], predict)
    rows = rows_of(predict(frame))
    if len(rows) != part.rows or [tabular_lines(_take(rows, half), "") for half in halves] != alone:
        raise NotInPartsError(NOT_ROW_WISE)
    return tabular_lines(rows, os.path.basename(path), part.row)


def _apart(frame: pd.DataFrame, predict: Predict) -> Rows:
    """Predict a copy: the model may write to its input."""
    try:
        return rows_of(predict(frame.reset_index(drop=True).copy()))
    except Exception:
        raise NotInPartsError(NOT_ROW_WISE) from None


def _check_with_first_rows(
    first: tuple[pd.DataFrame, OutputLines], sample: pd.DataFrame, alone: OutputLines, predict: Predict
) -> None:
    import pandas as pd

    frame, lines = first
    if not frame.dtypes.equals(sample.dtypes):
        raise NotInPartsError("its columns do not have one type in all parts")
    rows, count = _apart(pd.concat([frame, sample]), predict), len(frame) + len(sample)
    ranges = range(len(frame)), range(len(frame), count)
    if len(rows) != count or [tabular_lines(_take(rows, list(at)), "") for at in ranges] != [lines, alone]:
        raise NotInPartsError(NOT_ROW_WISE)


@lru_cache(maxsize=1)
def _first_rows(
    path: str, header: int, signature: Signature | None, predict: Predict
) -> tuple[pd.DataFrame, OutputLines]:
    """Return the first rows of a file, and their lines when predicted alone."""
    length = _length_of_rows(path, header) if header else 1  # one row group
    frame = _read(path, FilePart(header, length, 0, 0, 2, header), signature).iloc[:FIRST_ROWS]
    return frame, tabular_lines(_apart(frame, predict), "")


def _length_of_rows(path: str, header: int) -> int:
    """Return how many bytes the first records of a CSV file take."""
    length, rows, is_quoted = 0, 0, False
    with open(path, "rb") as stream:
        stream.seek(header)
        for line in stream:
            length += len(line)
            is_quoted ^= line.count(b'"') % 2 == 1
            rows += not is_quoted
            if rows == FIRST_ROWS:
                break
    return length


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
        parquet_file.read(path, signature)  # reports the first such place in the whole file
        raise NotInPartsError("only the whole file can be read") from None
