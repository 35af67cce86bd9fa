"""One `predict` for the files of a mini-batch (`--coalesce`): the service predicts once per file, this is faster.

It holds for models that treat each row by itself. That is tried on each worker's first mini-batch: both ways are run
and compared byte by byte, and where they differ every file is predicted by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import pandas as pd

from batchtwin.scoring import csv_file
from batchtwin.scoring.bad_file import BadFileError
from batchtwin.scoring.columns import NUMBERS
from batchtwin.scoring.predictions import rows_of, tabular_lines
from batchtwin.scoring.results import Lines, Note
from batchtwin.scoring.signature import Signature
from batchtwin.spec.inputs import ending
from batchtwin.spec.messages import BadFile

# What one `predict` gets at most, where more than one file is in it.
ROWS = 100_000
BYTES = 1 << 24
NOT_ROW_WISE = (
    "--coalesce: the model does not predict several files at once as it predicts each by itself, "
    "for it does not treat rows one by one; every file is predicted by itself"
)
Scored = Lines | BadFile
# A table, and the (path, rows) of the files that it is made of, in order.
Together = tuple[pd.DataFrame, list[tuple[str, int]]]


class Coalescer:
    """Scores mini-batches. `read(path)` gives data or a BadFile, `one(path, data)` scores it, `predict` is the model's.

    `row_wise` is None until it is known.
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        one: Callable[[str, Any], Lines],
        predict: Callable[[pd.DataFrame], object],
        signature: Signature | None,
    ) -> None:
        self._read = read
        self._one = one
        self._predict = predict
        self._signature = signature
        self.row_wise: bool | None = None

    def __call__(self, paths: Sequence[str]) -> list[Scored | Note]:
        """Score each file; one element per file, in order, and a Note where the model turns out not to be row-wise."""
        together = self._at_once(paths) if self.row_wise else None
        if together is not None:
            return list(together)
        single: list[Scored | Note] = [self._score(path) for path in paths]
        tables = sum(isinstance(lines, Lines) and lines.rows > 0 for lines in single)
        if self.row_wise is None and tables > 1:
            self.row_wise = self._at_once(paths) == single
            if not self.row_wise:
                single.append(Note(NOT_ROW_WISE))
        return single

    def _score(self, path: str) -> Scored:
        data = self._read(path)
        return data if isinstance(data, BadFile) else self._one(path, data)

    def _at_once(self, paths: Sequence[str]) -> list[Scored] | None:
        """None if the model does not answer with one row for each row: then files go one by one."""
        scored: dict[str, Scored] = {}
        for frame, files in self._tables(paths, scored):
            try:
                rows = rows_of(self._predict(frame))
            except Exception:
                return None
            if len(rows) != len(frame):
                return None
            low = 0
            for path, count in files:
                lines = tabular_lines(rows[low : low + count], os.path.basename(path))
                scored[path] = replace(lines, read=count)
                low += count
        return [scored[path] for path in paths]

    def _tables(self, paths: Sequence[str], scored: dict[str, Scored]) -> Iterator[Together]:
        """Read the files and yield tables to predict; what is no table with rows goes to `scored`."""
        joined = read_joined(paths, self._signature)
        if joined is not None:
            yield joined
            return
        frames: list[tuple[str, pd.DataFrame]] = []
        for path in paths:
            data = self._read(path)
            if isinstance(data, BadFile):
                scored[path] = data
            elif not isinstance(data, pd.DataFrame) or data.empty:
                scored[path] = self._one(path, data)
            else:
                if frames and not _go_together(frames, data):
                    yield _joined(frames)
                    frames = []
                frames.append((path, data))
        if frames:
            yield _joined(frames)


def _go_together(frames: list[tuple[str, pd.DataFrame]], data: pd.DataFrame) -> bool:
    """Only tables of the same types: joining others would change the types."""
    rows = sum(len(frame) for _, frame in frames)
    return rows + len(data) <= ROWS and frames[0][1].dtypes.equals(data.dtypes)


def _joined(frames: list[tuple[str, pd.DataFrame]]) -> Together:
    table = pd.concat([frame for _, frame in frames], ignore_index=True) if len(frames) > 1 else frames[0][1]
    return table, [(path, len(frame)) for path, frame in frames]


def read_joined(paths: Sequence[str], signature: Signature | None) -> Together | None:
    """Read small CSV files of one header as one text; None where one of them needs a closer look.

    A line is a row here: no quotes, no carriage returns, no blank lines, and only types that do not depend on the rest
    of their column.
    """
    if signature is None or any(ending(path) != ".csv" for path in paths):
        return None
    texts = _texts(paths)
    if texts is None:
        return None
    header, bodies = texts
    joined = b"".join([header, *bodies])
    counts = [body.count(b"\n") for body in bodies]
    first = bodies[0].partition(b"\n")[0]
    if first.count(b",") != header.count(b",") or csv_file.BOOLEAN.search(joined):
        return None
    try:
        names = csv_file.names_in(header)
        columns = signature.in_table(paths[0], names)
        if columns is None or any(column.type not in NUMBERS | {"string"} for column in columns):
            return None
        with csv_file.strictly():
            table = csv_file.typed(BytesIO(joined), columns, names)
    except (*csv_file.REFUSALS, BadFileError):
        return None
    return (table, list(zip(paths, counts, strict=True))) if len(table) == sum(counts) else None


def _texts(paths: Sequence[str]) -> tuple[bytes, list[bytes]] | None:
    """Return the header line that all files share, and what follows it in each."""
    header, bodies, left = b"", [], BYTES
    for path in paths:
        try:
            with open(path, "rb") as stream:
                text = stream.read(left + 1)
        except OSError:
            return None
        left -= len(text)
        line, newline, body = text.partition(b"\n")
        header = header or line + newline
        if left < 0 or not line.strip() or line + newline != header or b'"' in text or b"\r" in text:
            return None
        if body[-1:] != b"\n" or b"\n\n" in text:
            return None
        bodies.append(body)
    return header, bodies
