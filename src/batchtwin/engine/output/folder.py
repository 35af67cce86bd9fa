"""A job's output folder, and segments -> predictions.csv in plan order: a whole file or none.

This module owns the layout of the folder. Scripts can write in it, so nothing in it is opened through a link.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from batchtwin import atomic, safe_open
from batchtwin.engine.output.segments import SegmentFiles, verified_bytes
from batchtwin.errors import OutputError
from batchtwin.locks import LOCK, hold_folder
from batchtwin.predictions import SCORE as SCORE
from batchtwin_node.codec import value_object
from batchtwin_node.failpoints import failpoints
from batchtwin_node.protocol import Failure, Outcome

failpoint = failpoints("parent")
LEDGER = "job.sqlite"
MANIFEST = "manifest.json"
FAILURES = "failures.jsonl"
REPORT = "report.html"
LOGS = "logs"
USER_LOGS = f"{LOGS}/user"
SEGMENTS = "segments"
SCRATCH = "scratch"
MODELS = "azureml-models"
# The input of a job that scores data instead of files. It exists before the job, so clearing leaves it.
NAMED_INPUTS = "named-inputs"
# All that a job makes in its folder. Clearing removes these names in this order, and nothing else: without a manifest
# the job is not complete, without a ledger there is no job.
CLEARED = (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", MANIFEST, SCORE, LOGS, SEGMENTS, SCRATCH, MODELS, FAILURES, REPORT)


@value_object
class Assembled:
    """The assembled file: its size in bytes and its SHA-256."""

    bytes: int
    sha256: str


@value_object
class OutputFolder:
    """The folder of one job; `file_name` is the deployment's `output_file`, None with `summary_only`."""

    root: Path
    file_name: str | None = None

    @property
    def score(self) -> Path:
        """What the service calls the output `score`."""
        return self.root / SCORE

    @property
    def segments(self) -> Path:
        """Where workers write rows until the job is complete."""
        return self.root / SEGMENTS

    @property
    def scratch(self) -> Path:
        """Working folders of the workers; removed when the job ends."""
        return self.root / SCRATCH

    @property
    def logs(self) -> Path:
        """The log tree."""
        return self.root / LOGS

    @property
    def models(self) -> Path:
        """The folder that AZUREML_MODEL_DIR names; gone when the job ends."""
        return self.root / MODELS

    @property
    def ledger(self) -> Path:
        """The plan, the tries and the committed ranges."""
        return self.root / LEDGER

    @property
    def manifest(self) -> Path:
        """Present only if the job is complete."""
        return self.root / MANIFEST

    @property
    def failures(self) -> Path:
        """One line per failed file; absent if nothing failed."""
        return self.root / FAILURES

    @property
    def report(self) -> Path:
        """The report of the job."""
        return self.root / REPORT

    @property
    def lock(self) -> Path:
        """The lock of the process that works in this folder."""
        return self.root / LOCK

    @property
    def predictions(self) -> Path | None:
        """The output file of `append_row`."""
        return self.score / self.file_name if self.file_name else None

    @contextmanager
    def hold(self, *, make: bool = True) -> Iterator[None]:
        """Hold the folder, one process at a time. A missing folder is made; without `make` it has to hold a job.

        Raises:
            OutputError: another process holds it, or it cannot be made or locked.
        """

        def refusal(holder: str) -> OutputError:
            advice = "wait for it, or choose another --output"
            return OutputError(f"{self.root}: in use by process {holder}; {advice}")

        with ExitStack() as stack:
            with _refusals():
                if make:
                    self.root.mkdir(parents=True, exist_ok=True)
                elif not self.ledger.exists():
                    raise OutputError(f"{self.root}: is not the output folder of a job")
                stack.enter_context(hold_folder(self.root, refusal))
            yield

    def check(self, overwrite: bool) -> None:
        """Refuse a folder that cannot be written, or that holds a job's output [R]. Nothing is created yet.

        Raises:
            OutputError: saying which, and what to do.
        """
        existing = next(path for path in (self.root, *self.root.parents) if os.path.exists(path))
        if not existing.is_dir():
            raise OutputError(f"{existing}: is a file; --output takes a folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise OutputError(f"{existing}: may not be written by this user; choose another folder: --output DIR")
        if overwrite:
            return
        foreign = [name for name in CLEARED if os.path.lexists(self.root / name)]
        if foreign and not os.path.lexists(self.lock):
            raise OutputError(
                f"{self.root}: holds {foreign[0]}, which no job made; choose another folder: --output DIR"
            )
        advice = "give --overwrite to replace it, or another --output"
        if self.predictions and os.path.lexists(self.predictions):
            raise OutputError(f"{self.predictions}: exists already; {advice}")
        if os.path.lexists(self.manifest):
            raise OutputError(f"{self.root}: holds another job; {advice}")
        if os.path.lexists(self.ledger):
            raise OutputError(
                f"{self.root}: holds a job that is not complete; "
                f"finish it with `batchtwin resume {self.root}`, {advice}"
            )

    def clear(self) -> None:
        """Remove what an earlier job left. A link in the place of a folder is removed, not followed.

        Raises:
            OutputError: the file system refuses.
        """
        with _refusals():
            for name in CLEARED:
                safe_open.remove(self.root / name, self.root)
            self._remove_temporaries()

    def make(self) -> None:
        """Create the folders that are missing.

        Raises:
            OutputError: the file system refuses, or a link is in the place of a folder.
        """
        with _refusals():
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.score, self.segments, self.logs):
                os.close(safe_open.open_folder(folder, self.root, make=True))

    def predictions_as_segment(self, ended: Iterable[Outcome | Failure], name: str) -> list[Outcome | Failure]:
        """Make the predictions of a complete job segment `name`; return its ends in that segment, in plan order.

        Raises:
            OutputError: the predictions are missing, or the file system refuses.
        """
        if self.predictions is None:
            return list(ended)
        self.tidy()
        self.make()
        with _refusals():
            self._link_or_copy(self.predictions, self.segments / name)
        events: list[Outcome | Failure] = []
        offset = 0
        for event in ended:
            if isinstance(event, Outcome):
                events.append(replace(event, segment=name, offset=offset))
                offset += event.length
            else:
                events.append(event)
        return events

    def _link_or_copy(self, source: Path, target: Path) -> None:
        with safe_open.open_file(source, "rb", self.root) as stream:
            try:
                os.link(source, target, follow_symlinks=False)
            except OSError:
                with safe_open.open_file(target, "xb", self.root) as copy:
                    shutil.copyfileobj(stream, copy)

    def tidy(self) -> None:
        """Remove what only a running job needs."""
        for folder in (self.segments, self.scratch, self.models):
            safe_open.remove(folder, self.root, ignore_errors=True)
        self._remove_temporaries()

    def _remove_temporaries(self) -> None:
        for path in (self.ledger, self.manifest, self.failures, self.report):
            atomic.remove_temporaries(path)

    def withdraw(self) -> None:
        """Remove the output file again, because a failed job has none [A]; its rows are in the segments."""
        if self.predictions is not None:
            safe_open.remove(self.predictions, self.root, ignore_errors=True)

    def assemble(self, outcomes: Iterable[Outcome]) -> Assembled | None:
        """Write the committed ranges, given in plan order, to the output file. None with `summary_only`.

        Raises:
            OutputError: a range is not what its worker wrote, or the file cannot be written.
        """
        if self.predictions is None:
            return None
        # Beside the segments, so that what a killed process leaves is removed with them.
        whole = atomic.temporary_beside(self.segments / "assembled")
        digest, size = hashlib.sha256(), 0
        try:
            with (
                safe_open.open_file(whole, "xb", self.root) as target,
                closing(SegmentFiles(self.segments, self.root)) as opened,
            ):
                for outcome in outcomes:
                    for block in verified_bytes(opened(outcome.segment), outcome):
                        digest.update(block)
                        size += target.write(block)
                target.flush()
                os.fsync(target.fileno())
            failpoint("assembled")
            atomic.move(whole, self.predictions, self.root)
            failpoint("output in place")
        except OSError as error:
            path = self.segments if error.filename == str(whole) else error.filename or self.predictions
            safe_open.remove(whole, self.root, ignore_errors=True)
            raise OutputError(f"{path}: {error.strerror}; the rows are in {self.segments}; {self.advice}") from None
        return Assembled(size, digest.hexdigest())

    @property
    def advice(self) -> str:
        """What to do after an error that `resume` can go on from."""
        return f"fix the cause, then run `batchtwin resume {self.root}`"


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}; choose another folder: --output DIR") from None


def claim_folder(root: Path) -> Path:
    """Make the folder `root`; if another job has just made it, one with a number after its name.

    Raises:
        OutputError: the file system refuses.
    """
    path, number = root, 1
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
            path = root.with_name(f"{root.name}-{number}")
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}; choose another folder: --output DIR") from None
