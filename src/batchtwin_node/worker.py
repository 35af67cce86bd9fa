"""The worker process: mini-batch in, rows to its own segment, Outcome or Failure out.

Started as `python -m batchtwin_node.worker TASKS EVENTS` with two file descriptors: one JSON line per message.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from batchtwin.inputs.fetch import Fetcher
from batchtwin.inputs.remote import CopyError
from batchtwin_node.failpoints import failpoints
from batchtwin_node.protocol import Event, Failure, FailureKind, Outcome, Ready, Task, WorkerInit, events
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.results import EncodedBatch, WrongTypeError, encode
from batchtwin_node.script.entry_script import EntryScript, ScriptError

PR_SET_PDEATHSIG = 1
failpoint = failpoints("worker")


class Clock:
    """When something began: `started` in seconds since the epoch; `seconds` is how long ago that is."""

    def __init__(self) -> None:
        self.started = time.time()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began


@dataclass
class Worker:
    """One worker's state: its settings, its script and its open segment."""

    settings: WorkerInit
    events: IO[bytes]
    segment: IO[bytes]
    offset: int = 0
    pid: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(Path(self.settings.copies))

    def report(self, event: Event) -> None:
        """Send one event to the parent."""
        self.events.write(events.dump_json(event) + b"\n")
        self.events.flush()

    def start(self) -> EntryScript | None:
        """Load the script and call `init()`; None, and a Failure reported, if that fails."""
        clock = Clock()
        kind: FailureKind = "script"
        try:
            script = EntryScript.load(self.settings.script)
            kind = "init"
            script.init()
        except BaseException as error:
            self._leave_if_forked()
            self.report(self._failure(kind, error, clock))
            return None
        self._leave_if_forked()
        self.report(Ready(worker=self.settings.worker, seconds=clock.seconds))
        return script

    def run(self, script: EntryScript, task: Task) -> None:
        """Run one mini-batch and report what came of it."""
        clock = Clock()
        try:
            result = script.run(self.fetcher.fetch(task.files))
            run_seconds = clock.seconds
            encoded = encode(result, len(task.files), self.settings.output_action == "append_row")
        except BaseException as error:
            self._leave_if_forked()
            self.report(self._failure(_kind(error), error, clock, task))
            return
        finally:
            _flush_streams()
        self._leave_if_forked()
        try:
            failpoint("before write")
            self.segment.write(encoded.data[: len(encoded.data) // 2])
            self.segment.flush()
            failpoint("half written")
            self.segment.write(encoded.data[len(encoded.data) // 2 :])
            self.segment.flush()
            failpoint("written")
        except OSError as error:
            self.report(self._failure("write", error, clock, task))
            return
        self.report(self._outcome(task, encoded, clock, run_seconds))
        failpoint("reported")
        self.offset += len(encoded.data)
        self.fetcher.drop()

    def _leave_if_forked(self) -> None:
        """A script may fork; a child that comes back from run() must not go on as a second worker."""
        if os.getpid() != self.pid:
            os._exit(1)

    def _place(self, kind: FailureKind, error: BaseException) -> str:
        """What cannot be loaded or written is named; what fails later is named by its mini-batch."""
        if kind == "write" and not isinstance(error, CopyError):
            return f"{self.settings.segment}: "
        return f"{os.path.join(*self.settings.script)}: " if kind == "script" and self.settings.script else ""

    def _outcome(self, task: Task, encoded: EncodedBatch, clock: Clock, run_seconds: float) -> Outcome:
        return Outcome(
            mini_batch=task.mini_batch,
            attempt=task.attempt,
            worker=self.settings.worker,
            segment=os.path.basename(self.settings.segment),
            offset=self.offset,
            length=len(encoded.data),
            crc=encoded.crc,
            rows=encoded.rows,
            succeeded=encoded.succeeded,
            failed=encoded.failed,
            pid=os.getpid(),
            started=clock.started,
            seconds=clock.seconds,
            run_seconds=run_seconds,
            bad_files=tuple(map(self.fetcher.known, encoded.bad_files)),
            file_rows=encoded.file_rows,
            notes=encoded.notes,
        )

    def _failure(self, kind: FailureKind, error: BaseException, clock: Clock, task: Task | None = None) -> Failure:
        return Failure(
            worker=self.settings.worker,
            kind=kind,
            message=_clean(self._place(kind, error) + self.fetcher.named(_message(error))),
            traceback=_clean(self.fetcher.named(_trace())),
            mini_batch=task.mini_batch if task else None,
            attempt=task.attempt if task else 0,
            pid=os.getpid(),
            started=clock.started,
            seconds=clock.seconds,
            run_seconds=clock.seconds,
            bad_file=self.fetcher.known(error.bad_file) if isinstance(error, BadFileError) else None,
        )


def _clean(text: str) -> str:
    """Text that JSON can carry: a lone surrogate is shown as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _kind(error: BaseException) -> FailureKind:
    match error:
        case BadFileError():
            return "bad_file"
        case WrongTypeError():
            return "wrong_type"
        case CopyError():
            return "write"
        case _:
            return "raised"


def _message(error: BaseException) -> str:
    if isinstance(error, BadFileError | WrongTypeError | ScriptError | CopyError):
        return str(error)
    return "".join(traceback.format_exception_only(error)).strip()


def _trace() -> str:
    """The traceback of the current exception without the runtime's own frames above the script's."""
    error = sys.exception()
    if error is None:
        return ""
    at = error.__traceback__
    while at is not None and at.tb_next is not None and at.tb_frame.f_code.co_filename in _OWN_FILES:
        at = at.tb_next
    return "".join(traceback.format_exception(type(error), error, at))


_OWN_FILES = frozenset({__file__, sys.modules[EntryScript.__module__].__file__})


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # The script may have closed or replaced them.
        with contextlib.suppress(Exception):
            stream.flush()


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when the parent dies, however it dies; elsewhere the closed pipe ends us."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: list[str]) -> int:
    """Run mini-batches until the task pipe closes."""
    tasks_fd, events_fd, parent = map(int, arguments)
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor in (tasks_fd, events_fd):
        os.set_inheritable(descriptor, False)
    with os.fdopen(tasks_fd, "rb") as tasks, os.fdopen(events_fd, "wb") as events:
        settings = WorkerInit.model_validate_json(tasks.readline())
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        sys.argv[:] = ["batchtwin", "--logging_level", settings.logging_level.upper()]
        if settings.script:
            sys.argv[0] = os.path.join(*settings.script)
        try:
            segment = open(settings.segment, "xb")
        except OSError as error:
            refused = Worker(settings, events, io.BytesIO())
            refused.report(refused._failure("write", error, Clock()))
            return 1
        with segment:
            worker = Worker(settings, events, segment)
            script = worker.start()
            if script is None:
                return 1
            for line in tasks:
                worker.run(script, Task.model_validate_json(line))
            with contextlib.suppress(BaseException):
                script.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
