"""The worker process: mini-batch in, rows to its own segment, Outcome or Failure out.

Started with two file descriptors, TASKS and EVENTS, and the pid of its node: one JSON line per message.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import time
import traceback
from typing import IO, Any

from batchtwin_node.children import die_with_parent
from batchtwin_node.codec import from_json, to_json
from batchtwin_node.errors import FileFailure
from batchtwin_node.failpoints import failpoints
from batchtwin_node.protocol import Event, Failure, FailureKind, Outcome, Ready, Task, WorkerInit
from batchtwin_node.readers.bad_file import BadFileError, NotInPartsError
from batchtwin_node.script import azureml_core, tracking
from batchtwin_node.script.entry_script import LoadedScript, ScriptError
from batchtwin_node.script.file_at import file_at
from batchtwin_node.script.results import EncodedBatch, WrongTypeError, encode
from batchtwin_node.script.trace import place_in, trace_of

# The longest message or traceback of a user's code, in characters; the middle of a longer one is left out.
LONGEST_TEXT = 16 << 10
# MLflow's message on a table that does not fit a signature: the table, the signature, and the cause at the end.
ENFORCED = re.compile(r"([\w.]*MlflowException: )(Failed to enforce schema .*)\. Error: (.*)", re.DOTALL)
failpoint = failpoints("worker")


class Clock:
    """A moment: `started` in seconds since the epoch; `seconds` is how long ago that is.

    A script may replace the functions of `time`, and libraries that freeze time replace every module attribute that is
    one of them: here they are attributes of a class.
    """

    _time, _monotonic = staticmethod(time.time), staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.started = self._time()
        self._began = self._monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since that moment."""
        return self._monotonic() - self._began


class Worker:
    """One worker's state: its settings, its script and its open segment."""

    def __init__(self, init: WorkerInit, events: IO[bytes], segment: IO[bytes]) -> None:
        self.init = init
        self.events = events
        self.segment = segment
        self.offset = 0
        self.pid = os.getpid()

    def report(self, event: Event) -> None:
        """Send one event to the node."""
        self.events.write(to_json(event).encode() + b"\n")
        self.events.flush()

    def start(self) -> LoadedScript | None:
        """Load the script and call `init()`; if that fails, report a Failure and return None."""
        clock = Clock()
        kind: FailureKind = "script"
        try:
            script = LoadedScript.load(self.init.script)
            kind = "init"
            script.init()
        except BaseException as error:
            self._leave_if_forked()
            self.report(self.failure(kind, error, clock))
            return None
        self._leave_if_forked()
        self.report(Ready(worker=self.init.worker, seconds=clock.seconds))
        return script

    def run(self, script: LoadedScript, task: Task) -> None:
        """Run one mini-batch and report its outcome."""
        clock = Clock()
        try:
            if task.part is None or script.run_part is None:
                result = script.run(list(task.files), task.mini_batch)
            else:
                result = script.run_part(task.files[0], task.part)
            run_seconds = clock.seconds
            encoded = encode(result, len(task.files), self.init.output_action == "append_row")
        except BaseException as error:
            self._leave_if_forked()
            self.report(self.failure(_kind(error), error, clock, task))
            return
        finally:
            _flush_streams()
        self._leave_if_forked()
        try:
            self._append(encoded.data)
        except OSError as error:
            self.report(self.failure("write", error, clock, task))
            return
        self.report(self._outcome(task, encoded, clock, run_seconds))
        failpoint("reported")
        self.offset += len(encoded.data)

    def _append(self, data: bytes) -> None:
        failpoint("before write")
        self.segment.write(data[: len(data) // 2])
        self.segment.flush()
        failpoint("half written")
        self.segment.write(data[len(data) // 2 :])
        self.segment.flush()
        failpoint("written")

    def _leave_if_forked(self) -> None:
        """End a forked child that returns from run(): it must not go on as a second worker."""
        if os.getpid() != self.pid:
            os._exit(1)

    def _place(self, kind: FailureKind, error: BaseException) -> str:
        """Return the segment or the place in the script; failures of a mini-batch are named by that."""
        if kind == "write":
            return f"{self.init.segment}: "
        if kind != "script" or self.init.script is None:
            return ""
        folder, name = self.init.script
        return f"{place_in(folder, error) or os.path.join(folder, name)}: "

    def _outcome(self, task: Task, encoded: EncodedBatch, clock: Clock, run_seconds: float) -> Outcome:
        return Outcome(
            mini_batch=task.mini_batch,
            attempt=task.attempt,
            worker=self.init.worker,
            segment=os.path.basename(self.init.segment),
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
            bad_files=tuple(encoded.bad_files),
            file_rows=encoded.file_rows,
            notes=tuple(clip(note) for note in encoded.notes),
        )

    def failure(self, kind: FailureKind, error: BaseException, clock: Clock, task: Task | None = None) -> Failure:
        """Return the description of an exception; for a FileFailure, that of its cause."""
        file = error.path if isinstance(error, FileFailure) else None
        if isinstance(error, FileFailure) and error.__cause__ is not None:
            error = error.__cause__
        message, trace = _texts(error)
        return Failure(
            worker=self.init.worker,
            kind=kind,
            message=clip(self._place(kind, error) + message),
            traceback=clip(trace),
            mini_batch=task.mini_batch if task else None,
            attempt=task.attempt if task else 0,
            pid=os.getpid(),
            started=clock.started,
            seconds=clock.seconds,
            run_seconds=clock.seconds,
            bad_file=error.bad_file if isinstance(error, BadFileError) else None,
            file=file,
            at=self._file_at(error, task) if file is None and kind == "raised" else None,
        )

    def _file_at(self, error: BaseException, task: Task | None) -> tuple[str, str] | None:
        """Return which of several files a script was at; our own driver names the file that failed."""
        if task is None or len(task.files) < 2 or self.init.script is None:
            return None
        return file_at(error, task.files, self.init.script[0])


def clip(text: str) -> str:
    """Return text that JSON can carry, cut in the middle if it is long: a lone surrogate becomes its escape."""
    if len(text) > LONGEST_TEXT:
        left_out = len(text) - LONGEST_TEXT
        half = LONGEST_TEXT // 2
        text = f"{text[:half]}\n... ({left_out} characters left out) ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def _kind(error: BaseException) -> FailureKind:
    if isinstance(error, BadFileError):
        return "bad_file"
    if isinstance(error, NotInPartsError):
        return "not_in_parts"
    return "wrong_type" if isinstance(error, WrongTypeError) else "raised"


def _texts(error: BaseException) -> tuple[str, str]:
    """Return the message and the traceback of an exception, also of one that Python cannot format."""
    try:
        return _message(error), trace_of(error)
    except BaseException as problem:  # a SyntaxError with other arguments, or methods that raise
        name = type(error).__name__
        message = f"{name}: its message cannot be shown: {type(problem).__name__} in the module traceback"
        return message, "".join(traceback.format_tb(error.__traceback__)) + message


def _message(error: BaseException) -> str:
    if isinstance(error, (BadFileError, WrongTypeError, ScriptError, NotInPartsError)):
        return str(error)
    lines = traceback.format_exception_only(type(error), error)
    if isinstance(error, SyntaxError):  # Python's last line, below the file and the line of code, has the message
        lines = [*lines[-1:], *lines[:-1]]
    return _cause_first("".join(lines).strip())


def _cause_first(text: str) -> str:
    """Return MLflow's message with its cause before the table that does not fit, with as many lines as before."""
    match = ENFORCED.fullmatch(text)
    if match is None:
        return text
    kind, table, cause = match.groups()
    is_long = "\n" in table
    table = table.replace("\n", " ", 1)
    return f"{kind}{cause}\n{table}" if is_long else f"{kind}{cause} ({table})"


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S110 - the script may have closed or replaced them
            pass


def main(arguments: list[str]) -> int:
    """Run mini-batches until the task pipe closes."""
    tasks_fd, events_fd, parent = map(int, arguments)
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor in (tasks_fd, events_fd):
        os.set_inheritable(descriptor, False)
    with os.fdopen(tasks_fd, "rb") as tasks, os.fdopen(events_fd, "wb") as events:
        init = from_json(WorkerInit, tasks.readline())
        _prepare_process(init)
        try:
            segment = open(init.segment, "xb")
        except OSError as error:
            refused = Worker(init, events, io.BytesIO())
            refused.report(refused.failure("write", error, Clock()))
            return 1
        with segment:
            worker = Worker(init, events, segment)
            script = worker.start()
            if script is None:
                return 1
            for line in tasks:
                worker.run(script, from_json(Task, line))
            try:
                script.shutdown()
            except BaseException:  # noqa: S110 - best effort [A]
                pass
    return 0


def _prepare_process(init: WorkerInit) -> None:
    """Set up streams that write line by line, and the arguments that scripts parse [A]."""
    streams: list[Any] = [sys.stdout, sys.stderr]
    for stream in streams:
        stream.reconfigure(line_buffering=True)
    sys.argv[:] = ["batchtwin", "--logging_level", init.logging_level.upper()]
    if init.script:
        sys.argv[0] = os.path.join(*init.script)
    tracking.start()
    azureml_core.install()
