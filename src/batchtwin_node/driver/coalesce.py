"""One `predict` for the files of a mini-batch (`--coalesce`). The service predicts once per file; this is faster.

It is correct for models that treat each row by itself. Each worker checks that on its first mini-batch: it predicts
both ways and compares byte by byte; where they differ, every file is predicted by itself. A later file is compared too
if its predictions have a form that was not compared before. So is one file of each mini-batch whose predictions are not
plain numbers: the order of columns and the texts of times may depend on other rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from batchtwin_node.driver.form import form_of, is_plain_numbers
from batchtwin_node.protocol import BadFile
from batchtwin_node.readers.csv_batch import read_many
from batchtwin_node.readers.signature import Signature
from batchtwin_node.script.results import Note, OutputLines, is_table
from batchtwin_node.writers.predictions import rows_of, tabular_lines

if TYPE_CHECKING:
    import pandas as pd

    from batchtwin_node.readers.csv_batch import BatchTable

    Scored = Union[OutputLines, BadFile]

# The most bytes of more than one file in one `predict`.
ROWS = 100_000
NOT_ROW_WISE = (
    "--coalesce: the model does not treat rows one by one, and gives other predictions for several files at once; "
    "every file is predicted by itself"
)


class _AtOnce(NamedTuple):
    """The lines of one file, predicted with others; their form, and whether the form says all about them."""

    scored: Scored
    form: Hashable = None
    is_plain: bool = True


class Coalescer:
    """Scores mini-batches. `read(path)` gives data or a BadFile, `score_file(path, data)` scores it.

    `predict` is the model's. `row_wise` is None until it is known.
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        score_file: Callable[[str, Any], Scored],
        predict: Callable[[pd.DataFrame], object],
        signature: Signature | None,
    ) -> None:
        self._read = read
        self._score_file = score_file
        self._predict = predict
        self._signature = signature
        self._compared: set[Hashable] = {None}
        self.row_wise: bool | None = None

    def __call__(self, paths: Sequence[str]) -> list[Scored | Note]:
        """Score each file; return one element per file, in order, and a Note if the model is not row-wise."""
        if self.row_wise is None:
            return self._both_ways(paths)
        joint = self._at_once(paths) if self.row_wise else None
        if joint is not None and self._is_as_alone(joint):
            return _lines(joint)
        single: list[Scored | Note] = [self._score(path) for path in paths]
        return single if joint is None else self._given_up(single)

    def _both_ways(self, paths: Sequence[str]) -> list[Scored | Note]:
        single: list[Scored | Note] = [self._score(path) for path in paths]
        if sum(isinstance(lines, OutputLines) and lines.rows > 0 for lines in single) < 2:
            return single  # one file shows nothing
        joint = self._at_once(paths)
        if joint is None or _lines(joint) != single:
            return self._given_up(single)
        self.row_wise = True
        self._compared.update(at_once.form for at_once in joint.values())
        return single

    def _given_up(self, single: list[Scored | Note]) -> list[Scored | Note]:
        self.row_wise = False
        return [*single, Note(NOT_ROW_WISE)]

    def _is_as_alone(self, joint: dict[str, _AtOnce]) -> bool:
        """Predict alone the files whose lines may differ then: one of each form, and one where forms say little."""
        doubtful = {at_once.form: path for path, at_once in joint.items() if at_once.form not in self._compared}
        others = [path for path, at_once in joint.items() if not at_once.is_plain]
        is_same = all(self._score(path) == joint[path].scored for path in {*doubtful.values(), *others[-1:]})
        self._compared.update(doubtful)
        return is_same

    def _score(self, path: str) -> Scored:
        data = self._read(path)
        return data if isinstance(data, BadFile) else self._score_file(path, data)

    def _at_once(self, paths: Sequence[str]) -> dict[str, _AtOnce] | None:
        """Return the lines by file; None if the model does not give a row for each row: then files go one by one."""
        scored: dict[str, _AtOnce] = {}
        for frame, files in self._tables(paths, scored):
            try:
                predictions = self._predict(frame)
                rows = rows_of(predictions)
            except Exception:
                return None
            if len(rows) != len(frame) or _is_moved(predictions):
                return None
            low = 0
            for path, count in files:
                part = rows[low : low + count]
                lines = replace(tabular_lines(part, os.path.basename(path)), read=count)
                form = (form_of(part), is_plain_numbers(part)) if len(files) > 1 else ()
                scored[path] = _AtOnce(lines, *form)
                low += count
        return {path: scored[path] for path in paths}

    def _tables(self, paths: Sequence[str], scored: dict[str, _AtOnce]) -> Iterator[BatchTable]:
        """Read the files and yield tables to predict; anything but a table with rows goes to `scored`."""
        batch = read_many(paths, self._signature)
        if batch is not None:
            yield batch
            return
        frames: list[tuple[str, pd.DataFrame]] = []
        for path in paths:
            data = self._read(path)
            if isinstance(data, BadFile):
                scored[path] = _AtOnce(data)
            elif not is_table(data) or data.empty:
                scored[path] = _AtOnce(self._score_file(path, data))
            else:
                if frames and not _go_together(frames, data):
                    yield _joined(frames)
                    frames = []
                frames.append((path, data))
        if frames:
            yield _joined(frames)


def _lines(joint: dict[str, _AtOnce]) -> list[Scored | Note]:
    return [at_once.scored for at_once in joint.values()]


def _is_moved(predictions: object) -> bool:
    """Whether an index says that predictions are not those of rows 0, 1, 2: some are missing, others doubled."""
    import pandas as pd

    if not isinstance(predictions, (pd.DataFrame, pd.Series)):
        return False
    return not predictions.index.equals(pd.RangeIndex(len(predictions)))


def _go_together(frames: list[tuple[str, pd.DataFrame]], data: pd.DataFrame) -> bool:
    """Whether tables have the same types: joining others would change the types."""
    rows = sum(len(frame) for _, frame in frames)
    return rows + len(data) <= ROWS and frames[0][1].dtypes.equals(data.dtypes)


def _joined(frames: list[tuple[str, pd.DataFrame]]) -> BatchTable:
    import pandas as pd

    table = pd.concat([frame for _, frame in frames], ignore_index=True) if len(frames) > 1 else frames[0][1]
    return table, [(path, len(frame)) for path, frame in frames]
