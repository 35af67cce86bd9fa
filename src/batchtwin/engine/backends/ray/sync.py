"""A node that does not see the job's folder: it gets model and code, and sends back what its files grow by.

Such a node has a folder of its own in the place of the job's. What workers append to segments and logs there, the
controller appends to files of the same names here, before it takes the events. So ledger, assembly and resume are the
same.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from batchtwin.engine.backends.fetching import copies_folder
from batchtwin.engine.backends.ray.transfer import CODE, PIECE_BYTES, below, files_below, relocate, unpack
from batchtwin.engine.output.folder import LOGS, SCORE, SEGMENTS, OutputFolder
from batchtwin.errors import OutputError
from batchtwin.inputs.fetch import make_own
from batchtwin.inputs.location import is_url
from batchtwin.locks import hold_folder
from batchtwin.safe_open import open_file
from batchtwin_node.codec import to_json
from batchtwin_node.protocol import Failure, FromNode, JobContext, Task

# A folder that nobody holds, and that is so old, is not about to be held either.
OLD_SECONDS = 60.0
# Below the job's folder.
GROWING = (SEGMENTS, LOGS)
ADVICE = "has to be on a path that all machines share"

# The name of a file below the job's folder, and what it has grown by.
Delta = tuple[str, bytes]
# The events of a step, as JSON, and what files have grown by.
Answer = tuple[list[str], list[Delta]]


class AppendLog:
    """What files below `root` have grown by since that was taken last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._taken: dict[str, int] = {}

    def take(self, most: int, folders: Iterable[str] = GROWING) -> list[Delta]:
        """Return up to `most` bytes of it; fewer only if that is all there is."""
        return list(self._take(most, folders))

    def _take(self, room: int, folders: Iterable[str]) -> Iterator[Delta]:
        for folder in folders:
            for name, file in files_below(self._root / folder):
                known = f"{folder}/{name}"
                before = self._taken.get(known, 0)
                if not room:
                    return
                with suppress(FileNotFoundError):  # a script may rename its logs
                    if os.path.isfile(file) and os.path.getsize(file) > before:
                        with open(file, "rb") as stream:
                            stream.seek(before)
                            data = stream.read(room)
                        self._taken[known] = before + len(data)
                        room -= len(data)
                        yield known, data


def apply_deltas(root: Path, deltas: Iterable[Delta]) -> None:
    """Append to files below `root` what they have grown by elsewhere.

    Raises:
        OutputError: a name leads to where it must not.
        OSError: the disk is full, or the like.
    """
    for name, data in deltas:
        with open_file(below(root, name, GROWING), "ab", root, make=True) as stream:
            stream.write(data)


class RemoteWorkdir:
    """The folder of node `number` that stands for the job's, with the model and the code of `pieces` (`pack`).

    Raises:
        OSError: it cannot be made, or the script writes its own files, which would stay here.
    """

    def __init__(self, context: JobContext, number: int, pieces: Iterable[bytes]) -> None:
        if context.output_action == "summary_only":
            raise FileNotFoundError(errno.ENOENT, f"is not there; with summary_only it {ADVICE}", context.root)
        copies = copies_folder(context)
        root = copies.with_name(f"{copies.name}-node{number}")
        _sweep(copies.parent.glob("*-node*"), OLD_SECONDS)
        self._lock = ExitStack()
        try:
            make_own(root)
            self._lock.enter_context(hold_folder(root, OutputError))
            unpack(pieces, root)
            OutputFolder(root, None).make()
        except BaseException as error:
            self._lock.close()
            shutil.rmtree(root, ignore_errors=True)
            if isinstance(error, OSError):
                error.filename = error.filename or str(root)
            raise
        self.context = relocate(context, root)
        self._job, self._code = context.root, context.script[0] if context.script else ""
        self._root, self._copies = root, copies
        self._growth = AppendLog(root)
        self._held: list[str] = []

    @property
    def is_behind(self) -> bool:
        """Whether events wait for what they tell of to have travelled."""
        return bool(self._held)

    def look_for(self, tasks: Iterable[Task]) -> None:
        """See that the input is here.

        Raises:
            FileNotFoundError: naming a file that is not.
        """
        for task in tasks:
            for file in task.files:
                if not is_url(file) and not os.path.exists(file):
                    text = f"is not there; input {ADVICE}, or to be a URL"
                    raise FileNotFoundError(errno.ENOENT, text, file)

    def answer(self, happened: Iterable[FromNode]) -> Answer:
        """Return what has grown, and the events whose rows the controller thereby has.

        Raises:
            OSError: the script has written files of its own, or one cannot be read.
        """
        if any(os.scandir(self._root / SCORE)):
            text = f"is not there; where a script writes files of its own, it {ADVICE}"
            raise FileNotFoundError(errno.ENOENT, text, self._job)
        self._held += [to_json(self._with_own_paths(event)) for event in happened]
        deltas = self._growth.take(PIECE_BYTES)
        if sum(len(data) for _, data in deltas) >= PIECE_BYTES:
            return [], deltas
        messages, self._held = self._held, []
        return messages, deltas

    def _with_own_paths(self, event: FromNode) -> FromNode:
        """Return a failure with the paths that the person knows; what cannot be written is here."""
        if not isinstance(event, Failure):
            return event
        code, where = str(self._root / CODE), f" (on {os.uname().nodename})" if event.kind == "write" else ""
        message, trace = (text.replace(code, self._code) for text in (event.message, event.traceback))
        return replace(event, message=message + where, traceback=trace)

    def final_logs(self) -> list[Delta]:
        """Return what the logs have grown by."""
        return self._growth.take(PIECE_BYTES, (LOGS,))

    def lost(self) -> str:
        """Say what stays behind, after all; empty for nothing."""
        names = sorted(os.listdir(self._root / SCORE))
        return f"{names[0]}, which the script wrote at its end, is not in {self._job}, which {ADVICE}" if names else ""

    def leave(self) -> None:
        """Remove the folder, and those of dead nodes of this job beside it."""
        self._lock.close()
        _sweep(self._copies.parent.glob(f"{self._copies.name}-node*"))


def _sweep(folders: Iterable[Path], older: float = -math.inf) -> None:
    """Remove those that no living node holds, and that are older than so many seconds."""
    for folder in folders:
        with suppress(OutputError, OSError):
            if time.time() - folder.stat().st_mtime > older:
                with hold_folder(folder, OutputError):
                    shutil.rmtree(folder, ignore_errors=True)
