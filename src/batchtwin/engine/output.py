"""A job's output folder, and segments -> predictions.csv in plan order, appearing whole or not at all."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from batchtwin.errors import OutputError
from batchtwin.spec.messages import Outcome

BLOCK = 1 << 20
# All that a job makes in its folder. Clearing removes these names and nothing else.
MADE = ("named-outputs/score", "logs", "segments", "scratch", "failures.jsonl")


@dataclass(frozen=True)
class OutputFolder:
    """The folder of one job; `file_name` is the deployment's `output_file_name`, None with `summary_only`."""

    root: Path
    file_name: str | None

    @property
    def score(self) -> Path:
        """What the service calls the output `score`."""
        return self.root / "named-outputs" / "score"

    @property
    def segments(self) -> Path:
        """Where workers write rows until the job is complete."""
        return self.root / "segments"

    @property
    def scratch(self) -> Path:
        """Working folders of the workers; gone when the job ends."""
        return self.root / "scratch"

    @property
    def predictions(self) -> Path | None:
        """The output file of `append_row`."""
        return self.score / self.file_name if self.file_name else None

    def check(self, overwrite: bool) -> None:
        """Refuse a folder that cannot be written, or that holds a job's output [R]. Nothing is created yet.

        Raises:
            OutputError: saying which, and what to do.
        """
        standing = next(path for path in (self.root, *self.root.parents) if path.exists())
        if not standing.is_dir():
            raise OutputError(f"{standing}: is a file; --output takes a folder")
        if not os.access(standing, os.W_OK | os.X_OK):
            raise OutputError(f"{standing}: may not be written by this user; choose another folder: --output DIR")
        if overwrite:
            return
        advice = "give --overwrite to replace it, or another --output"
        if self.predictions and self.predictions.exists():
            raise OutputError(f"{self.predictions}: exists already; {advice}")
        if any((self.root / name).exists() for name in MADE):
            raise OutputError(f"{self.root}: holds another job; {advice}")

    def make(self) -> None:
        """Clear what an earlier job left and create the folders.

        Raises:
            OutputError: the file system refuses.
        """
        try:
            for name in MADE:
                path = self.root / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            self.score.mkdir(parents=True)
            self.segments.mkdir()
        except OSError as error:
            raise OutputError(f"{error.filename}: {error.strerror}; choose another folder: --output DIR") from None

    def assemble(self, outcomes: Iterable[Outcome]) -> None:
        """Write the committed ranges, given in plan order, to the output file, and remove the segments.

        Raises:
            OutputError: a range is not what its worker wrote, or the file cannot be written.
        """
        if self.predictions is not None:
            temporary = self.segments / "assembled"
            try:
                with temporary.open("wb") as target, ExitStack() as stack:
                    opened = cache(lambda name: stack.enter_context((self.segments / name).open("rb")))
                    for outcome in outcomes:
                        _copy(opened(outcome.segment), outcome, target)
                    target.flush()
                    os.fsync(target.fileno())
                temporary.replace(self.predictions)
            except OSError as error:
                raise OutputError(f"{self.predictions}: {error.strerror}; the rows are in {self.segments}") from None
        shutil.rmtree(self.segments)


def _copy(source: IO[bytes], outcome: Outcome, target: IO[bytes]) -> None:
    source.seek(outcome.offset)
    left, crc = outcome.length, 0
    while left and (block := source.read(min(left, BLOCK))):
        left -= len(block)
        crc = zlib.crc32(block, crc)
        target.write(block)
    if left or crc != outcome.crc:
        raise OutputError(
            f"{source.name}: bytes {outcome.offset} to {outcome.offset + outcome.length} are not what worker "
            f"{outcome.worker} wrote for mini batch {outcome.mini_batch}; was the file changed?"
        )
