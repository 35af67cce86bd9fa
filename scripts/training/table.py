"""The training table: read and checked cell by cell."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

WHOLE = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "slope", "ca")
COLUMNS = (
    "age",
    "sex",
    "cp",
    "trestbps",
    "chol",
    "fbs",
    "restecg",
    "thalach",
    "exang",
    "oldpeak",
    "slope",
    "ca",
    "thal",
)
NAMED = ("cp", "restecg", "slope", "thal")  # numbers or words that name a kind: their order says nothing
TARGET = "target"


class InputError(ValueError):
    """Something that the caller gave cannot be used; the text says what, where and what to do."""


def read_table(path: Path) -> pd.DataFrame:
    """Return the file's cells as text, indexed by line number.

    Raises:
        InputError: the file cannot be read as CSV, or lacks a column.
    """
    import pandas as pd

    rows: dict[int, list[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            check_header(path, header)
            for row in lines:
                if len(row) != len(header) and row:
                    raise InputError(
                        f"{path}, line {lines.line_num}: {len(row)} cells where the header has {len(header)}; "
                        "correct or remove the line"
                    )
                if row:
                    rows[lines.line_num] = [cell.strip() for cell in row]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `make data` writes data/train/heart.csv") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV text in UTF-8 ({error}); save it as such") from None
    return pd.DataFrame.from_dict(rows, orient="index", columns=header, dtype=str)


def check_header(path: Path, header: Sequence[str]) -> None:
    """Raise InputError unless each column that training needs is there once."""
    wrong = [name for name in (*COLUMNS, TARGET) if header.count(name) != 1]
    if wrong:
        how = "missing" if wrong[0] not in header else "there twice"
        raise InputError(f"{path}: column {', '.join(wrong)} {how}; needed are {','.join(COLUMNS)},{TARGET}")


def check_cells(path: Path, column: pd.Series[str], good: pd.Series[bool], wanted: str) -> None:
    """Raise InputError on the first cell of the column that is not good."""
    bad = column[~good]
    if len(bad):
        place = f"{path}, line {bad.index[0]}, column {bad.name}"
        raise InputError(f"{place}: {bad.iloc[0]!r} is not {wanted}; correct or remove the line")


def typed(path: Path, table: pd.DataFrame, folds: int) -> tuple[pd.DataFrame, pd.Series[int]]:
    """Return the features, shape (rows, 13): int64, float64 and text; and the target, shape (rows,): int64 0 or 1.

    Raises:
        InputError: a cell is not of its column's type, or a class is too rare for the cross-validation.
    """
    import pandas as pd

    features = table[list(COLUMNS)].copy()
    for name in COLUMNS:
        if name == "thal":
            check_cells(path, table[name], table[name] != "", "a word")
            continue
        numbers = pd.to_numeric(table[name], errors="coerce").astype("float64")
        finite = numbers.abs() < 1e9
        if name in WHOLE:
            check_cells(path, table[name], finite & (numbers % 1 == 0), "a whole number")
            features[name] = numbers.astype("int64")
        else:
            check_cells(path, table[name], finite, "a number")
            features[name] = numbers
    check_cells(path, table[TARGET], table[TARGET].isin(["0", "1"]), "0 or 1")
    target = table[TARGET].astype("int64")
    for label in (0, 1):
        if (count := int((target == label).sum())) < folds:
            raise InputError(
                f"{path}: {count} row(s) with {TARGET} {label}; "
                f"training needs both classes, at least {folds} rows of each"
            )
    return features, target
