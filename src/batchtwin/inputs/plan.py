"""Deployment + files + model -> Plan: frozen, numbered mini-batches and the fingerprint of what they came from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

from batchtwin.errors import BatchTwinError
from batchtwin.inputs.listing import InputFile


@dataclass(frozen=True, slots=True)
class MiniBatch:
    """One call of `run()`: its number from 0 in plan order, and its items."""

    id: int
    files: tuple[InputFile, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that decides the result of a job. Two plans with one fingerprint give the same bytes."""

    fingerprint: str
    mini_batches: tuple[MiniBatch, ...]

    @property
    def items(self) -> int:
        """Number of input files."""
        return sum(len(mini_batch.files) for mini_batch in self.mini_batches)

    @classmethod
    def make(cls, files: tuple[InputFile, ...], size: int, fingerprint: str) -> Plan:
        """Cut the input into mini-batches: consecutive chunks of `size` files [A]."""
        return cls(fingerprint, tuple(MiniBatch(number, chunk) for number, chunk in enumerate(_chunks(files, size))))


def _chunks(files: tuple[InputFile, ...], size: int) -> Iterator[tuple[InputFile, ...]]:
    rest = iter(files)
    while chunk := tuple(islice(rest, size)):
        yield chunk


def content_hash(path: Path) -> str:
    """SHA-256 over the relative names and the bytes below `path` (or of one file); `__pycache__` aside.

    Linked folders count with what they hold. Of pipes, devices and broken links only the name counts.

    Raises:
        BatchTwinError: a file or folder cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for name, file in sorted(_files_below(path)):
            digest.update(f"{name}\0{_file_hash(file)}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise BatchTwinError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def _file_hash(file: str) -> str:
    if not os.path.isfile(file):
        return ""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files_below(top: Path) -> Iterator[tuple[str, str]]:
    """Yield (name relative to `top`, path) of every file. A folder is entered once, whatever links lead to it."""
    if not top.is_dir():
        yield ".", str(top)
        return
    entered = {os.path.realpath(top)}
    for at, folders, names in os.walk(top, onerror=_raise, followlinks=True):
        folders[:] = [
            name for name in sorted(folders) if name != "__pycache__" and _enter(os.path.join(at, name), entered)
        ]
        yield from ((os.path.relpath(os.path.join(at, name), top), os.path.join(at, name)) for name in names)


def _raise(error: OSError) -> NoReturn:
    raise error


def _enter(folder: str, entered: set[str]) -> bool:
    real = os.path.realpath(folder)
    new = real not in entered
    entered.add(real)
    return new
