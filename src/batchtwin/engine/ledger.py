"""What is planned, tried and committed: SQLite in the output folder. The controller is its only writer.

Only what the ledger has counts: not a torn tail of a segment, nor the rows of a worker that was lost.
"""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from batchtwin import atomic
from batchtwin.errors import BatchTwinError, OutputError
from batchtwin.inputs.changes import InputChange
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import MiniBatch
from batchtwin.safe_open import check_file, open_descriptor
from batchtwin_node.codec import any_from_json, from_json, to_json, value_object
from batchtwin_node.protocol import EVENTS, Failure, FilePart, Outcome

VERSION = "2"
# It holds the identity of a deployment, and so its environment variables. SQLite gives its other files the same mode.
PRIVATE = 0o600
# Prefix of the names of facts about changed inputs; the path follows.
CHANGED = "changed input "
SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE file (
    position INTEGER PRIMARY KEY, mini_batch INTEGER NOT NULL, path TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT
);
CREATE TABLE part (mini_batch INTEGER PRIMARY KEY, part TEXT NOT NULL);
CREATE TABLE try (id INTEGER PRIMARY KEY, mini_batch INTEGER, ended INTEGER NOT NULL, event TEXT NOT NULL);
"""


class LedgerError(BatchTwinError):
    """A ledger that is missing, damaged, or of another version."""


@value_object
class Entry:
    """One try of a mini-batch; `ended` if no other try follows: it succeeded, or was the last."""

    event: Outcome | Failure
    ended: bool


@value_object
class Totals:
    """What is planned: `items` (files or parts) by mini-batch, bytes, parts, paths; tries, mini-batches that ended."""

    items: Sequence[int]
    size: int
    parts: int
    paths: int
    tries: int
    ended: int

    @property
    def files(self) -> int:
        """All items."""
        return sum(self.items)

    @property
    def mini_batches(self) -> int:
        """All mini-batches."""
        return len(self.items)


class Ledger:
    """An open ledger.

    Raises (from every method that writes):
        OutputError: the disk is full, or the file cannot be written; what was committed before stays.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    def create(cls, path: Path, facts: dict[str, str], plan: Sequence[MiniBatch], hashes: Mapping[str, str]) -> Self:
        """Write the frozen plan. `hashes` holds the SHA-256 of input paths, where they are wanted."""
        # Written under another name first: a ledger under its own name has a whole plan.
        new = atomic.temporary_beside(path)
        try:
            os.close(open_descriptor(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=PRIVATE))
        except OSError as error:
            raise LedgerError(f"{path}: cannot be opened: {error.strerror}") from None
        ledger = cls(new, _connect(new, "DELETE"))
        with _writing(ledger), closing(ledger._connection) as connection:
            connection.executescript(f"BEGIN; {SCHEMA}")
            ledger._insert(plan, hashes)
            connection.executemany("INSERT INTO fact VALUES (?, ?)", [("version", VERSION), *facts.items()])
            connection.execute("COMMIT")
        atomic.move(new, path)
        return cls(path, _connect(path, "WAL"))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger of an earlier run.

        Raises:
            LedgerError: there is none, its plan was never written, or this version does not read it.
        """
        try:
            exists = check_file(path)
            for suffix in ("-wal", "-shm"):
                check_file(path.with_name(path.name + suffix))
        except OSError as error:
            raise LedgerError(f"{error.filename}: {error.strerror}; score again with --overwrite") from None
        if not exists:
            raise LedgerError(f"{path}: no such ledger; {path.parent} is not the output folder of a job")
        ledger = cls(path, _connect(path, "WAL"))
        try:
            version = ledger.fact("version")
        except sqlite3.DatabaseError as error:
            raise LedgerError(f"{path}: not a ledger that can be read: {error}; score again with --overwrite") from None
        if version != VERSION:
            raise LedgerError(f"{path}: ledger version {version!r}, this batchtwin reads {VERSION!r}")
        return ledger

    def fact(self, name: str) -> str | None:
        """Return the fact that `create` or `state` wrote under this name."""
        row = self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def state(self, name: str, value: str) -> None:
        """Write a fact that changes, such as the number of runs."""
        with _writing(self):
            self._connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def replan(self, plan: Sequence[MiniBatch], hashes: Mapping[str, str]) -> None:
        """Replace the plan, and forget what was tried."""
        with _writing(self):
            self._connection.execute("BEGIN")
            for table in ("try", "part", "file"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are these
            self._insert(plan, hashes)
            self._connection.execute("COMMIT")

    def _insert(self, plan: Sequence[MiniBatch], hashes: Mapping[str, str]) -> None:
        rows = (
            (mini_batch.id, file.path, file.size, file.mtime_ns, hashes.get(file.path))
            for mini_batch in plan
            for file in mini_batch.files
        )
        insert = "INSERT INTO file (mini_batch, path, size, mtime_ns, sha256) VALUES (?, ?, ?, ?, ?)"
        self._connection.executemany(insert, rows)
        parts = ((mini_batch.id, to_json(mini_batch.part)) for mini_batch in plan if mini_batch.part)
        self._connection.executemany("INSERT INTO part VALUES (?, ?)", parts)

    def plan(self) -> tuple[tuple[MiniBatch, ...], dict[str, str]]:
        """Return the frozen mini-batches, and the hashes of inputs that were taken."""
        parts = {number: from_json(FilePart, text) for number, text in self._connection.execute("SELECT * FROM part")}
        batches: dict[int, list[InputFile]] = {}
        hashes: dict[str, str] = {}
        query = "SELECT mini_batch, path, size, mtime_ns, sha256 FROM file ORDER BY position"
        for number, path, size, mtime_ns, sha256 in self._connection.execute(query):
            batches.setdefault(number, []).append(InputFile(path, size, mtime_ns))
            if sha256:
                hashes[path] = sha256
        return tuple(MiniBatch(number, tuple(files), parts.get(number)) for number, files in batches.items()), hashes

    def add(self, entries: Iterable[Entry], runs: int | None = None) -> None:
        """Commit events, with a new number of runs if one is given: all or nothing."""
        rows = [(entry.event.mini_batch, entry.ended, to_json(entry.event)) for entry in entries]
        with _writing(self):
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT INTO try (mini_batch, ended, event) VALUES (?, ?, ?)", rows)
            if runs is not None:
                self._connection.execute("INSERT OR REPLACE INTO fact VALUES ('runs', ?)", (str(runs),))
            self._connection.execute("COMMIT")

    def ended(self) -> Iterator[Outcome | Failure]:
        """Yield how each mini-batch ended, in plan order; the last end of several."""
        query = (
            "SELECT event FROM try WHERE id IN "
            "(SELECT max(id) FROM try WHERE ended AND mini_batch IS NOT NULL GROUP BY mini_batch) ORDER BY mini_batch"
        )
        for (text,) in self._connection.execute(query):
            event = any_from_json(EVENTS, text)
            if isinstance(event, Outcome | Failure):
                yield event

    def add_changes(self, changes: Iterable[InputChange]) -> None:
        """Record inputs that have changed while the job ran."""
        with _writing(self):
            self._connection.execute("BEGIN")
            rows = [(CHANGED + change.path, change.text) for change in changes]
            self._connection.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")

    def forget_changes(self, mini_batches: Iterable[int]) -> None:
        """Remove the changes of inputs, and how these mini-batches ended: they run again."""
        with _writing(self):
            self._connection.execute("BEGIN")
            self._connection.execute("DELETE FROM fact WHERE substr(name, 1, ?) = ?", (len(CHANGED), CHANGED))
            rows = [(number,) for number in mini_batches]
            self._connection.executemany("UPDATE try SET ended = 0 WHERE mini_batch = ?", rows)
            self._connection.execute("COMMIT")

    def changes(self) -> Iterator[InputChange]:
        """Yield the recorded changes of inputs, by path."""
        query = "SELECT name, value FROM fact WHERE substr(name, 1, ?) = ? ORDER BY name"
        for name, text in self._connection.execute(query, (len(CHANGED), CHANGED)):
            yield InputChange(name[len(CHANGED) :], text)

    def failures(self) -> Iterator[Failure]:
        """Yield every failed try once, in order, even if a later run wrote it again."""
        query = """SELECT event FROM try WHERE event LIKE '{"type":"failure"%' GROUP BY event ORDER BY min(id)"""
        for (text,) in self._connection.execute(query):
            event = any_from_json(EVENTS, text)
            if isinstance(event, Failure):
                yield event

    def tries(self) -> Iterator[tuple[str, bool]]:
        """Yield all events as JSON, in the order of commits, each with whether it is its mini-batch's last end."""
        query = (
            "SELECT event, id = last FROM try LEFT JOIN "
            "(SELECT mini_batch AS number, max(id) AS last FROM try WHERE ended GROUP BY mini_batch) "
            "ON number = mini_batch ORDER BY id"
        )
        for text, is_last in self._connection.execute(query):
            yield text, bool(is_last)

    def events_after(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the events after number `number` as JSON, each with its number."""
        yield from self._connection.execute("SELECT id, event FROM try WHERE id > ? ORDER BY id", (number,))

    def last_event(self) -> Outcome | Failure | None:
        """Return the time of the last event; None without events."""
        row = self._connection.execute("SELECT event FROM try ORDER BY id DESC LIMIT 1").fetchone()
        event = any_from_json(EVENTS, row[0]) if row else None
        return event if isinstance(event, Outcome | Failure) else None

    def totals(self) -> Totals:
        """Return how much is planned, and how many tries there were."""
        sizes = self._connection.execute("SELECT count(*) FROM file GROUP BY mini_batch ORDER BY mini_batch")
        size, paths, parts = self._connection.execute(
            "SELECT total(size), count(*), (SELECT count(*) FROM part) FROM (SELECT DISTINCT path, size FROM file)"
        ).fetchone()
        tries, ended = self._connection.execute(
            # A retry of a complete job writes its outcomes again, with the predictions file as their segment.
            """SELECT sum(event NOT LIKE '%"segment":"complete-run%'), count(DISTINCT iif(ended, mini_batch, NULL))
            FROM try"""
        ).fetchone()
        return Totals(array("L", (count for (count,) in sizes)), int(size), parts, paths, tries or 0, ended)

    def files_of(self, mini_batches: Iterable[int], most: int) -> dict[int, list[str]]:
        """Return the first `most` files of these mini-batches, by number; in one pass over the plan."""
        numbers = sorted(set(mini_batches))
        files: dict[int, list[str]] = {}
        query = (
            "SELECT mini_batch, path FROM file WHERE mini_batch IN (SELECT value FROM json_each(?)) ORDER BY position"
        )
        for number, path in self._connection.execute(query, (json.dumps(numbers),)):
            names = files.setdefault(number, [])
            if len(names) < most:
                names.append(path)
        return files

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _connect(path: Path, journal: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        # A commit survives the death of this process. For the death of the machine see docs/reliability.md.
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"{path}: cannot be opened: {error}") from None
    return connection


class _writing:
    """Turn SQLite's errors on writing into ours, and roll back."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        with suppress(sqlite3.ProgrammingError):  # closed
            self._ledger._connection.rollback()
        advice = "fix the cause, then run `batchtwin resume`"
        raise OutputError(f"{self._ledger._path}: cannot be written: {error}; {advice}") from None
