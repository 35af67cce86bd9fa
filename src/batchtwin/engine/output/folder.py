"""A job's output folder, and segments -> predictions.csv in plan order, appearing whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from batchtwin.engine.output.manifest import sync_folder
from batchtwin.errors import OutputError
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.failpoints import failpoints
from batchtwin_node.protocol import Failure, Outcome

BLOCK = 1 << 20
# Segments that assembly keeps open: a job of so many workers, if the system allows as many, opens each but once.
OPEN_FILES, BESIDE = 2048, 512
failpoint = failpoints("parent")
# All that a job makes in its folder. Clearing removes these names, in this order, and nothing else: without a
# manifest the job is not complete, without a ledger there is none.
MADE = (
    "job.sqlite",
    "job.sqlite-wal",
    "job.sqlite-shm",
    "manifest.json",
    "named-outputs/score",
    "logs",
    "segments",
    "scratch",
    "azureml-models",
    "failures.jsonl",
)


@dataclass(frozen=True)
class Assembled:
    """What was assembled: its size in bytes and its SHA-256."""

    bytes: int
    sha256: str


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
    def models(self) -> Path:
        """The folder that AZUREML_MODEL_DIR names; gone when the job ends."""
        return self.root / "azureml-models"

    @property
    def logs(self) -> Path:
        """The log tree."""
        return self.root / "logs"

    @property
    def ledger(self) -> Path:
        """The plan, the tries and the committed ranges."""
        return self.root / "job.sqlite"

    @property
    def manifest(self) -> Path:
        """The mark of completeness."""
        return self.root / "manifest.json"

    @property
    def predictions(self) -> Path | None:
        """The output file of `append_row`."""
        return self.score / self.file_name if self.file_name else None

    def check(self, overwrite: bool) -> None:
        """Refuse a folder that cannot be written, or that holds a job's output [R]. Nothing is created yet.

        Raises:
            OutputError: saying which, and what to do.
        """
        standing = next(path for path in (self.root, *self.root.parents) if os.path.exists(path))
        if not standing.is_dir():
            raise OutputError(f"{standing}: is a file; --output takes a folder")
        if not os.access(standing, os.W_OK | os.X_OK):
            raise OutputError(f"{standing}: may not be written by this user; choose another folder: --output DIR")
        if overwrite:
            return
        foreign = [name for name in MADE if (self.root / name).exists()]
        if foreign and not (self.root / ".lock").exists():
            raise OutputError(
                f"{self.root}: holds {foreign[0]}, which no job made; choose another folder: --output DIR"
            )
        advice = "give --overwrite to replace it, or another --output"
        if self.predictions and self.predictions.exists():
            raise OutputError(f"{self.predictions}: exists already; {advice}")
        if self.manifest.exists():
            raise OutputError(f"{self.root}: holds another job; {advice}")
        if self.ledger.exists():
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
            for name in MADE:
                path = self.root / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def make(self) -> None:
        """Create the folders, where they are not there already.

        Raises:
            OutputError: the file system refuses.
        """
        with _refusals():
            self.score.mkdir(parents=True, exist_ok=True)
            self.segments.mkdir(exist_ok=True)

    def load_prepared(self, ended: Iterable[Outcome | Failure], name: str) -> list[Outcome | Failure]:
        """Have the predictions of a complete job serve as segment `name`; return its ends, in plan order, as in that.

        Raises:
            OutputError: the predictions are gone, or the file system refuses.
        """
        if self.predictions is None:
            return list(ended)
        self.tidy()
        self.make()
        with _refusals():
            try:
                os.link(self.predictions, self.segments / name)
            except OSError:
                shutil.copy2(self.predictions, self.segments / name)
        found: list[Outcome | Failure] = []
        offset = 0
        for event in ended:
            if isinstance(event, Outcome):
                found.append(replace(event, segment=name, offset=offset))
                offset += event.length
            else:
                found.append(event)
        return found

    def tidy(self) -> None:
        """Remove what only a running job needs."""
        shutil.rmtree(self.segments, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.rmtree(self.models, ignore_errors=True)

    def withdraw(self) -> None:
        """Take the output file away again, for a failed job has none [A]; its rows are in the segments."""
        if self.predictions is not None:
            with suppress(OSError):
                self.predictions.unlink(missing_ok=True)

    def assemble(self, outcomes: Iterable[Outcome]) -> Assembled | None:
        """Write the committed ranges, given in plan order, to the output file. None with `summary_only`.

        Raises:
            OutputError: a range is not what its worker wrote, or the file cannot be written.
        """
        if self.predictions is None:
            return None
        temporary = self.segments / "assembled"
        digest, size = hashlib.sha256(), 0
        try:
            with temporary.open("wb") as target, closing(Opened(self.segments)) as opened:
                for outcome in outcomes:
                    for block in checked(opened(outcome.segment), outcome):
                        digest.update(block)
                        size += target.write(block)
                target.flush()
                os.fsync(target.fileno())
            failpoint("assembled")
            temporary.replace(self.predictions)
            failpoint("output in place")
            sync_folder(self.score)
        except OSError as error:
            place = error.filename2 or error.filename or self.predictions
            advice = f"the rows are in {self.segments}; mend the cause, then `batchtwin resume {self.root}`"
            raise OutputError(f"{place}: {error.strerror}; {advice}") from None
        return Assembled(size, digest.hexdigest())


class Opened:
    """Files of a folder, open for reading; the ones used last, for there may be more than a process may have open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}
        self._most = max(1, _files_allowed(OPEN_FILES + BESIDE) - BESIDE)

    def __call__(self, name: str) -> IO[bytes]:
        """Return a file by its name."""
        file = self._files.pop(name, None) or (self._folder / name).open("rb")
        self._files[name] = file  # the last one now
        if len(self._files) > self._most:
            self._files.pop(next(iter(self._files))).close()
        return file

    def close(self) -> None:
        """Close them all."""
        for file in self._files.values():
            file.close()


def _files_allowed(wanted: int) -> int:
    """Raise the limit of open files of this process to `wanted`, as far as may be; return what it is then, at most."""
    if sys.platform == "win32":
        return min(wanted, 512)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return soft


def checked(source: IO[bytes], outcome: Outcome, offset: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a range, from the outcome's own offset or another, a block at a time.

    Raises:
        OutputError: after the last block, if they are not what the worker wrote.
    """
    begin = outcome.offset if offset is None else offset
    source.seek(begin)
    left, crc = outcome.length, 0
    while left and (block := source.read(min(left, BLOCK))):
        left -= len(block)
        crc = zlib.crc32(block, crc)
        yield block
    if left or crc != outcome.crc:
        raise OutputError(
            f"{source.name}: bytes {begin} to {begin + outcome.length} are not what worker "
            f"{outcome.worker} wrote for mini batch {outcome.mini_batch}; was the file changed?"
        )


def range_problem(path: Path, outcome: Outcome, offset: int, mini_batches: Sequence[MiniBatch]) -> str | None:
    """Say what is wrong with the bytes of an outcome, which are to be at `offset` of a file; None if nothing is."""
    names = [file.name for file in mini_batches[outcome.mini_batch].files]
    files = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    place = f"{path}: bytes {offset} to {offset + outcome.length} (mini batch {outcome.mini_batch}, {files})"
    try:
        with path.open("rb") as source:
            for _ in checked(source, outcome, offset):
                pass
    except OutputError:
        return f"{place} are not what was written"
    except OSError as error:
        return f"{place}: {error.strerror}"
    return None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}; choose another folder: --output DIR") from None
