"""A node whose tasks may name URLs: their files are copied to this machine before the node gets the task."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from batchtwin.engine.backends.node_pool import Client
from batchtwin.inputs.location import is_url, redact
from batchtwin.subprocesses import module_command
from batchtwin_node.lines import LineReader, LineWriter
from batchtwin_node.protocol import BadFile, Event, Failure, FromNode, JobContext, Outcome, Task, ToNode

# Sent to a fetch process: a URL, a path and the options of a store.
LONGEST_ANSWER = 1 << 20


def copies_folder(context: JobContext) -> Path:
    """Return this machine's folder for copies of a job's remote input: below BATCHTWIN_COPIES, or its TMPDIR."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(os.environ.get("BATCHTWIN_COPIES") or tempfile.gettempdir()).absolute() / f"batchtwin-{user}"
    return folder / f"{context.key}-run{context.run}"


def drop_old_copies(context: JobContext) -> None:
    """Remove copies that killed runs of this job left on this machine: they may be of another version."""
    copies = copies_folder(context)
    for folder in copies.parent.glob(f"{context.key}-run*"):
        if folder.name.partition("-node")[0] != copies.name:
            shutil.rmtree(folder, ignore_errors=True)


class FetchProcess:
    """The process that copies files to `folder`, `threads` of them at a time."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            module_command("batchtwin.inputs.fetch", folder, threads, os.getpid()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout) if pipe is not None]
        stdin, self.fd = (pipe.fileno() for pipe in self._pipes)
        os.set_blocking(stdin, False)
        os.set_blocking(self.fd, False)
        self._reader, self._writer = LineReader(self.fd, LONGEST_ANSWER), LineWriter(stdin)

    def request(self, url: str) -> None:
        """Ask for a copy."""
        self._writer.put(json.dumps(url))

    def answers(self) -> list[dict[str, str]]:
        """Return the answers that have arrived."""
        self._writer.flush()
        return [json.loads(line) for line in self._reader.read()]

    @property
    def has_ended(self) -> bool:
        """Whether the process has died."""
        return self._reader.eof

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.close()


@dataclass
class Pending:
    """A task whose files are being copied until `deadline` (monotonic). `paths` are the copies by URL."""

    task: Task
    missing: set[str]
    started: float
    deadline: float
    paths: dict[str, str] = field(default_factory=dict)


class FetchingClient:
    """`node`, for tasks that may name URLs. A copy stays until its mini-batch has succeeded, so a retry finds it."""

    def __init__(self, node: Client, context: JobContext) -> None:
        self._node, self._context = node, context
        self._folder = copies_folder(context)
        self._process: FetchProcess | None = None
        self._pending: dict[int, Pending] = {}
        self._copies: dict[int, dict[str, str]] = {}  # by mini-batch: local path -> URL
        drop_old_copies(context)

    def send(self, message: ToNode) -> None:
        """Send a message. A task that names URLs is sent once they have been copied."""
        urls = {file for file in message.files if is_url(file)} if isinstance(message, Task) else set()
        if not urls or not isinstance(message, Task):
            self._node.send(message)
            return
        now = time.monotonic()
        self._pending[message.mini_batch] = Pending(message, urls, time.time(), now + self._context.timeout)
        for url in sorted(urls):
            self._fetcher().request(url)

    def _fetcher(self) -> FetchProcess:
        if self._process is None:
            self._process = FetchProcess(self._folder, self._context.workers)
        return self._process

    def receive(self, timeout: float, also: Sequence[int] = ()) -> list[FromNode]:
        """Return events, failed copies included. Raises `NodeLostError`."""
        messages: list[FromNode] = []
        if self._process is not None:
            also, timeout = [*also, self._process.fd], min(timeout, 0.2) if self._pending else timeout
            messages += self._on_answers(self._process)
            messages += self._overdue()
        if messages:
            timeout = 0.0
        return [*messages, *(self._renamed(message) for message in self._node.receive(timeout, also))]

    def _on_answers(self, process: FetchProcess) -> Iterator[Failure]:
        for answer in process.answers():
            url = answer["url"]
            for pending in [pending for pending in self._pending.values() if url in pending.missing]:
                if "path" not in answer:
                    yield self._failed(pending, answer["kind"], answer["error"])
                    continue
                pending.missing.remove(url)
                pending.paths[url] = answer["path"]
                if not pending.missing:
                    self._hand_over(pending)
        if process.has_ended:
            self._restart()

    def _hand_over(self, pending: Pending) -> None:
        task = pending.task
        del self._pending[task.mini_batch]
        self._copies[task.mini_batch] = {path: url for url, path in pending.paths.items()}
        self._node.send(replace(task, files=tuple(pending.paths.get(file, file) for file in task.files)))

    def _failed(self, pending: Pending, kind: str, message: str) -> Failure:
        task = pending.task
        del self._pending[task.mini_batch]
        seconds = time.time() - pending.started
        return Failure(
            worker=f"node{self._context.node or 0}/fetch",
            kind=kind,
            message=message,
            pid=os.getpid(),
            started=pending.started,
            mini_batch=task.mini_batch,
            attempt=task.attempt,
            seconds=seconds,
            run_seconds=seconds,
        )

    def _overdue(self) -> list[Failure]:
        """Fail the tasks whose store hangs: copying may take as long as one `run()`."""
        now = time.monotonic()
        late = [pending for pending in self._pending.values() if now > pending.deadline]
        timeout = self._context.timeout
        text = "mini batch {} did not finish in {:g} seconds."
        failures = [self._failed(pending, "timeout", text.format(pending.task.mini_batch, timeout)) for pending in late]
        if failures:
            self._restart()
        return failures

    def _restart(self) -> None:
        """Start another process, and ask it for the copies that are missing."""
        if self._process is not None:
            self._process.kill()
            self._process = None
        for pending in self._pending.values():
            for url in sorted(pending.missing):
                self._fetcher().request(url)

    def _renamed(self, message: FromNode) -> FromNode:
        """Return a message with copies in the place of URLs; drop the copies of a mini-batch that has succeeded."""
        if not isinstance(message, Outcome | Failure) or message.mini_batch is None:
            return message
        copies = self._copies.pop(message.mini_batch, None)
        if not copies:
            return message
        if isinstance(message, Outcome):
            for path in copies:
                Path(path).unlink(missing_ok=True)
        return with_names(message, copies)

    def close(self) -> None:
        """End the node and the fetch process, and remove the copies."""
        self._end_process()
        self._node.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End both at once."""
        self._end_process()
        self._node.kill()

    def _end_process(self) -> None:
        self._pending.clear()
        if self._process is not None:
            self._process.kill()
            self._process = None


def with_names(event: Event, copies: dict[str, str]) -> FromNode:
    """Return an event in which copies are named by their URLs."""

    def restored(text: str) -> str:
        for path, url in copies.items():
            text = text.replace(path, redact(url))
        return text

    def original(bad: BadFile) -> BadFile:
        url = copies.get(bad.file)
        return replace(bad, file=url, message=restored(bad.message)) if url else bad

    if isinstance(event, Outcome):
        return replace(event, bad_files=tuple(map(original, event.bad_files)))
    if isinstance(event, Failure):
        bad_file = None if event.bad_file is None else original(event.bad_file)
        file = copies.get(event.file, event.file) if event.file else None
        message, trace = restored(event.message), restored(event.traceback)
        at = (copies.get(event.at[0], event.at[0]), event.at[1]) if event.at else None
        return replace(event, message=message, traceback=trace, bad_file=bad_file, file=file, at=at)
    return event
