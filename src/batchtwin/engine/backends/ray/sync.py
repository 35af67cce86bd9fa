"""A node that does not see the job's folder: it receives model and code, and sends back the growth of its files.

Such a node has a folder of its own in the place of the job's. What workers append to segments and logs there, the
controller appends to the files of the same names here, before it processes the events. So ledger, assembly and resume
work the same.
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
from batchtwin.engine.backends.ray.transfer import CODE, PIECE_BYTES, below, files_to_send, relocate, unpack
from batchtwin.engine.output.folder import LOGS, SCORE, SEGMENTS, OutputFolder
from batchtwin.errors import OutputError
from batchtwin.inputs.fetch import make_own
from batchtwin.inputs.location import is_url
from batchtwin.locks import hold_folder
from batchtwin.safe_open import open_file
from batchtwin_node.codec import to_json
from batchtwin_node.protocol import Failure, FromNode, JobContext, Task

# A folder without a lock that is younger than this may be about to be locked.
OLD_SECONDS = 60.0
# Below the job's folder.
GROWING = (SEGMENTS, LOGS)
ADVICE = "has to be on a path that all machines share"

# The name of a file below the job's folder, and the bytes that were appended to it.
Delta = tuple[str, bytes]
# The events of a step, as JSON, and the growth of files.
Answer = tuple[list[str], list[Delta]]


class AppendLog:
    """The growth of files below `root` since the last call."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sent: dict[str, int] = {}

    def take(self, most: int, folders: Iterable[str] = GROWING) -> list[Delta]:
        """Return up to `most` bytes of growth; fewer only if that is all."""
        return list(self._take(most, folders))

    def _take(self, room: int, folders: Iterable[str]) -> Iterator[Delta]:
        for folder in folders:
            for name, file in files_to_send(self._root / folder):
                file_name = f"{folder}/{name}"
                before = self._sent.get(file_name, 0)
                if not room:
                    return
                with suppress(FileNotFoundError):  # a script may rename its logs
                    if os.path.isfile(file) and os.path.getsize(file) > before:
                        with open(file, "rb") as stream:
                            stream.seek(before)
                            data = stream.read(room)
                        self._sent[file_name] = before + len(data)
                        room -= len(data)
                        yield file_name, data


def apply_deltas(root: Path, deltas: Iterable[Delta]) -> None:
    """Append the growth of a node's files to the same files below `root`.

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
        self._log = AppendLog(root)
        self._waiting: list[str] = []

    @property
    def is_behind(self) -> bool:
        """Whether events wait until the bytes that they are about have been sent."""
        return bool(self._waiting)

    def look_for(self, tasks: Iterable[Task]) -> None:
        """Check that the input is on this machine.

        Raises:
            FileNotFoundError: naming a file that is not.
        """
        for task in tasks:
            for file in task.files:
                if not is_url(file) and not os.path.exists(file):
                    text = f"is not there; input {ADVICE}, or to be a URL"
                    raise FileNotFoundError(errno.ENOENT, text, file)

    def answer(self, happened: Iterable[FromNode]) -> Answer:
        """Return the growth of files, and the events whose rows the controller has with it.

        Raises:
            OSError: the script has written files of its own, or one cannot be read.
        """
        if any(os.scandir(self._root / SCORE)):
            text = f"is not there; where a script writes files of its own, it {ADVICE}"
            raise FileNotFoundError(errno.ENOENT, text, self._job)
        self._waiting += [to_json(self._with_own_paths(event)) for event in happened]
        deltas = self._log.take(PIECE_BYTES)
        if sum(len(data) for _, data in deltas) >= PIECE_BYTES:
            return [], deltas
        messages, self._waiting = self._waiting, []
        return messages, deltas

    def _with_own_paths(self, event: FromNode) -> FromNode:
        """Return a failure with the paths that the user knows."""
        if not isinstance(event, Failure):
            return event
        code, host = str(self._root / CODE), f" (on {os.uname().nodename})" if event.kind == "write" else ""
        message, trace = (text.replace(code, self._code) for text in (event.message, event.traceback))
        return replace(event, message=message + host, traceback=trace)

    def final_logs(self) -> list[Delta]:
        """Return the growth of the logs."""
        return self._log.take(PIECE_BYTES, (LOGS,))

    def warning(self) -> str:
        """Describe what is not sent to the controller; empty for nothing."""
        names = sorted(os.listdir(self._root / SCORE))
        return f"{names[0]}, which the script wrote at its end, is not in {self._job}, which {ADVICE}" if names else ""

    def cleanup(self) -> None:
        """Remove the folder, and those that dead nodes of this job left beside it."""
        self._lock.close()
        _sweep(self._copies.parent.glob(f"{self._copies.name}-node*"))


def _sweep(folders: Iterable[Path], older: float = -math.inf) -> None:
    """Remove folders without a lock that are older than so many seconds."""
    for folder in folders:
        with suppress(OutputError, OSError):
            if time.time() - folder.stat().st_mtime > older:
                with hold_folder(folder, OutputError):
                    shutil.rmtree(folder, ignore_errors=True)
