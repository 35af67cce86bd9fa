"""The earlier job for `batchtwin report --against`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.errors import BatchTwinError

if TYPE_CHECKING:
    from batchtwin.engine.report.predictions import Earlier


def earlier_job(root: Path, before: Path) -> Callable[[], Earlier]:
    """Return a function that reads the earlier job and compares its rows with those of `root`."""

    def read() -> Earlier:
        from batchtwin.engine.report.predictions import Earlier
        from batchtwin.engine.report.write import open_predictions
        from batchtwin.predictions.compare import compare

        name, predictions = open_predictions(before)
        if predictions is None:
            return Earlier(name, None, "The earlier job has no rows to compare with.")
        try:
            outcome = compare(before, root, 1e-9, 0.0, 0, in_order=True)
        except BatchTwinError as error:
            text = f"Rows are not compared one by one: {error}. The distributions below are of all rows there are."
            return Earlier(name, predictions, text)
        if outcome.equal:
            return Earlier(name, predictions, f"All {outcome.right_rows:,} rows are equal.")
        changes = (
            ("in both, and different", outcome.differing),
            ("only in this job", outcome.only_right),
            ("only in the earlier job", outcome.only_left),
            ("rows of this job", outcome.right_rows),
            ("rows of the earlier job", outcome.left_rows),
        )
        return Earlier(name, predictions, f"Rows are paired {outcome.layout.by}.", changes)

    return read
