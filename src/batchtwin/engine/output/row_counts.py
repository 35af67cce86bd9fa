"""Files that gave more or fewer rows than they have. A model may mean it, but row numbers then name other records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchtwin.engine.output.folder import MANIFEST
from batchtwin.inputs.location import redact
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.codec import value_object
from batchtwin_node.protocol import Outcome
from batchtwin_node.readers.bad_file import printable

SHOWN = 10


@value_object
class RowCounts:
    """One file that was scored: `path`, rows read from it, rows written."""

    path: str
    rows_in: int
    rows_out: int

    @property
    def warning(self) -> str:
        """A sentence for the person."""
        counts = f"{self.rows_in} rows in, {self.rows_out} rows out"
        return f"{printable(redact(self.path))}: {counts}: the model does not give one prediction per row"


def row_counts(mini_batch: MiniBatch, outcome: Outcome) -> Iterator[RowCounts]:
    """Yield the counts of each scored file, in order, where the script counts rows file by file."""
    bad = {entry.file for entry in outcome.bad_files}
    scored = (file.path for file in mini_batch.files if file.path not in bad)
    for path, (rows_in, rows_out) in zip(scored, outcome.file_rows or (), strict=False):
        yield RowCounts(path, rows_in, rows_out)


def row_count_warnings(mini_batches: tuple[MiniBatch, ...], outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield a warning for each file whose counts differ, and after the first ones how many more there are."""
    more = 0
    for outcome in outcomes:
        for counts in row_counts(mini_batches[outcome.mini_batch], outcome):
            if counts.rows_in == counts.rows_out:
                continue
            more += 1
            if more <= SHOWN:
                yield counts.warning
    if more > SHOWN:
        yield f"and {more - SHOWN} more files whose rows out differ from rows in: see `inputs` in {MANIFEST}"
