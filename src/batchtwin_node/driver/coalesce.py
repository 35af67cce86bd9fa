"""One `predict` for the files of a mini-batch (`--coalesce`): the service predicts once per file, this is faster.

It holds for models that treat each row by itself. That is tried on each worker's first mini-batch: both ways are run
and compared byte by byte, and where they differ every file is predicted by itself. Later a file whose predictions have
a form that was not among those compared is compared too; so is one of each mini-batch if predictions are not plain
numbers, for the order of columns and the texts of times may depend on other rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from batchtwin_node.driver.form import form_of, is_plain
from batchtwin_node.protocol import BadFile
from batchtwin_node.readers.csv_batch import read_many
from batchtwin_node.readers.signature import Signature
from batchtwin_node.script.results import Note, OutputLines, is_table
from batchtwin_node.writers.predictions import rows_of, tabular_lines

if TYPE_CHECKING:
    import pandas as pd

    from batchtwin_node.readers.csv_batch import BatchTable

    Scored = Union[OutputLines, BadFile]

# What one `predict` gets at most, where more than one file is in it.
ROWS = 100_000
NOT_ROW_WISE = (
    "--coalesce: the model does not predict several files at once as it predicts each by itself, "
    "for it does not treat rows one by one; every file is predicted by itself"
)


class _AtOnce(NamedTuple):
    """The lines of one file, predicted with others: of what form, and whether that says all about them."""

    scored: Scored
    form: Hashable = None
    is_plain: bool = True


class Coalescer:
    """Scores mini-batches. `read(path)` gives data or a BadFile, `one(path, data)` scores it, `predict` is the model's.

    `row_wise` is None until it is known.
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        score_file: Callable[[str, Any], Scored],
        predict: Callable[[pd.DataFrame], object],
        signature: Signature | None,
    ) -> None:
        self._read = read
        self._one = score_file
        self._predict = predict
        self._signature = signature
        self._compared: set[Hashable] = {None}
        self.row_wise: bool | None = None

    def __call__(self, paths: Sequence[str]) -> list[Scored | Note]:
        """Score each file; one element per file, in order, and a Note where the model turns out not to be row-wise."""
        if self.row_wise is None:
            return self._both_ways(paths)
        together = self._at_once(paths) if self.row_wise else None
        if together is not None and self._is_as_alone(together):
            return _lines(together)
        single: list[Scored | Note] = [self._score(path) for path in paths]
        return single if together is None else self._given_up(single)

    def _both_ways(self, paths: Sequence[str]) -> list[Scored | Note]:
        single: list[Scored | Note] = [self._score(path) for path in paths]
        if sum(isinstance(lines, OutputLines) and lines.rows > 0 for lines in single) < 2:
            return single  # that shows nothing
        together = self._at_once(paths)
        if together is None or _lines(together) != single:
            return self._given_up(single)
        self.row_wise = True
        self._compared.update(at_once.form for at_once in together.values())
        return single

    def _given_up(self, single: list[Scored | Note]) -> list[Scored | Note]:
        self.row_wise = False
        return [*single, Note(NOT_ROW_WISE)]

    def _is_as_alone(self, together: dict[str, _AtOnce]) -> bool:
        """Predict by themselves files whose lines may be others then: one of each form, one where forms say little."""
        doubtful = {at_once.form: path for path, at_once in together.items() if at_once.form not in self._compared}
        others = [path for path, at_once in together.items() if not at_once.is_plain]
        is_same = all(self._score(path) == together[path].scored for path in {*doubtful.values(), *others[-1:]})
        self._compared.update(doubtful)
        return is_same

    def _score(self, path: str) -> Scored:
        data = self._read(path)
        return data if isinstance(data, BadFile) else self._one(path, data)

    def _at_once(self, paths: Sequence[str]) -> dict[str, _AtOnce] | None:
        """None if the model does not answer with one row for each row: then files go one by one."""
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
                scored[path] = _AtOnce(lines, form_of(part), is_plain(part)) if len(files) > 1 else _AtOnce(lines)
                low += count
        return {path: scored[path] for path in paths}

    def _tables(self, paths: Sequence[str], scored: dict[str, _AtOnce]) -> Iterator[BatchTable]:
        """Read the files and yield tables to predict; what is no table with rows goes to `scored`."""
        joined = read_many(paths, self._signature)
        if joined is not None:
            yield joined
            return
        frames: list[tuple[str, pd.DataFrame]] = []
        for path in paths:
            data = self._read(path)
            if isinstance(data, BadFile):
                scored[path] = _AtOnce(data)
            elif not is_table(data) or data.empty:
                scored[path] = _AtOnce(self._one(path, data))
            else:
                if frames and not _go_together(frames, data):
                    yield _joined(frames)
                    frames = []
                frames.append((path, data))
        if frames:
            yield _joined(frames)


def _lines(together: dict[str, _AtOnce]) -> list[Scored | Note]:
    return [at_once.scored for at_once in together.values()]


def _is_moved(predictions: object) -> bool:
    """Tell whether an index says that predictions are not those of rows 0, 1, 2: some are dropped, others doubled."""
    import pandas as pd

    if not isinstance(predictions, (pd.DataFrame, pd.Series)):
        return False
    return not predictions.index.equals(pd.RangeIndex(len(predictions)))


def _go_together(frames: list[tuple[str, pd.DataFrame]], data: pd.DataFrame) -> bool:
    """Only tables of the same types: joining others would change the types."""
    rows = sum(len(frame) for _, frame in frames)
    return rows + len(data) <= ROWS and frames[0][1].dtypes.equals(data.dtypes)


def _joined(frames: list[tuple[str, pd.DataFrame]]) -> BatchTable:
    import pandas as pd

    table = pd.concat([frame for _, frame in frames], ignore_index=True) if len(frames) > 1 else frames[0][1]
    return table, [(path, len(frame)) for path, frame in frames]
