"""A predictions file as a table with types: the lines are texts, and the types are inferred from them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtwin.errors import BatchTwinError
from batchtwin.predictions.file import LineLayout, fields_of, head, line_layout, records

if TYPE_CHECKING:
    import pandas as pd

MISSING = "nan"
INTEGER = re.compile(r"0|-?[1-9][0-9]*")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
NOT_FINITE = frozenset({MISSING, "inf", "-inf"})
Columns = dict[str, "pd.Series[Any]"]


class MissingPackageError(BatchTwinError):
    """An optional package is not installed."""

    def __init__(self, purpose: str, package: str) -> None:
        super().__init__(f"{purpose}: needs {package}, which is not installed here; install it: pip install {package}")


def read_table(path: Path, *, is_driver: bool = False, is_text: bool = False) -> pd.DataFrame:
    """Return the predictions in a file, one row for each line, with types.

    The MLflow driver's columns are `row`, `prediction` and `file_name`; images have no `row`. A script's lines have
    those columns if they look like the driver's; a script's DataFrame has the columns 0, 1, ...; other lines are the
    one column `prediction`. Whole numbers, floats and booleans get their type back, JSON lists and objects are decoded,
    and `nan` is a missing value. All else stays text, and so does every prediction with `is_text`.

    Raises:
        BatchTwinError: these are no predictions, or pandas is not installed.
        OSError: the file cannot be read.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise MissingPackageError("predictions as a DataFrame", "pandas") from None
    layout = LineLayout.ROWS if is_driver else line_layout(head(path)) or LineLayout.LINES
    lines = (line for block in records(path, layout) for line in block)
    if layout.keyed:
        return pd.DataFrame(_keyed(lines, is_exact=is_driver, is_text=is_text))
    if layout is LineLayout.FRAME:
        rows = [[_text(field) for field in fields_of(line, b" ")] for line in lines]
        width = max(map(len, rows), default=0)
        padded = (row + [MISSING] * (width - len(row)) for row in rows)
        return pd.DataFrame(dict(enumerate(map(typed_column, zip(*padded, strict=True)))))
    return pd.DataFrame({"prediction": typed_column([_text(line) for line in lines])})


def _keyed(lines: Iterator[bytes], *, is_exact: bool, is_text: bool) -> Columns:
    import pandas as pd

    numbers: list[int | None] = []
    predictions: list[str] = []
    names: list[str] = []
    for line in lines:
        fields = [_text(field) for field in fields_of(line, b",")]
        # A malformed line is a prediction of no file.
        number, prediction, name = ["", *fields][-3:] if len(fields) in {2, 3} else ("", _text(line), "")
        numbers.append(int(number) if INTEGER.fullmatch(number) else None)
        predictions.append(prediction)
        names.append(name)
    texts = pd.Series([None if text == MISSING else text for text in predictions])
    columns = {
        "prediction": texts if is_text else typed_column(predictions, is_exact=is_exact),
        "file_name": pd.Series(names, dtype=None if names else object),
    }
    if all(number is None for number in numbers) and numbers:
        return columns
    kind = "Int64" if None in numbers else "int64"
    return {"row": pd.Series(numbers, dtype=kind), **columns}


def _text(field: bytes) -> str:
    return field.decode(errors="backslashreplace")


def typed_column(texts: Sequence[str], *, is_exact: bool = False) -> pd.Series[Any]:
    """Return texts as a column of the type that they mean; `is_exact`: only if Python writes it just so.

    So the texts `007` and `1.10` of a model stay texts, while a script may have formatted its numbers.
    """
    import pandas as pd

    present = [text for text in texts if text != MISSING]
    has_gaps = len(present) < len(texts)
    if not present:
        return pd.Series([math.nan] * len(texts), dtype=float)
    if all(map(INTEGER.fullmatch, present)):
        whole = [None if text == MISSING else int(text) for text in texts]
        is_small = all(number is None or -(2**63) <= number < 2**63 for number in whole)
        return pd.Series(whole, dtype="Int64" if has_gaps and is_small else None if is_small else object)
    is_float = _is_exact_float if is_exact else _is_number
    if all(map(is_float, present)):
        return pd.Series([float(text) for text in texts], dtype=float)
    if set(present) <= {"True", "False"}:
        flags = [None if text == MISSING else text == "True" for text in texts]
        return pd.Series(flags, dtype="boolean" if has_gaps else bool)
    values = _decoded(texts)
    return pd.Series([None if text == MISSING else text for text in texts] if values is None else values)


def _is_number(text: str) -> bool:
    return text in NOT_FINITE or NUMBER.fullmatch(text) is not None


def _is_exact_float(text: str) -> bool:
    # A whole number among floats is a number all the same.
    return text in NOT_FINITE or (NUMBER.fullmatch(text) is not None and (repr(float(text)) == text or text.isdigit()))


def _decoded(texts: Sequence[str]) -> list[Any] | None:
    """Return the JSON lists and objects that these texts are; None if one of them is something else."""
    decode: Callable[[str], Any] = json.loads
    values = []
    for text in texts:
        if text != MISSING and text[:1] not in {"[", "{"}:
            return None
        try:
            values.append(None if text == MISSING else decode(text))
        except (ValueError, RecursionError):
            return None
    return values
