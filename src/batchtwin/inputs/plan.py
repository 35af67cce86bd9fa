"""Deployment + files + model -> Plan: frozen, numbered mini-batches and the fingerprint of their source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path
from typing import NoReturn

from batchtwin.errors import BatchTwinError
from batchtwin.inputs.listing import InputFile
from batchtwin_node.codec import value_object
from batchtwin_node.protocol import FilePart

Parts = Mapping[str, tuple[FilePart, ...]]


@value_object
class MiniBatch:
    """One call of `run()`: its number from 0 in plan order, and its items; `part` is the part of its only file."""

    id: int
    files: tuple[InputFile, ...]
    part: FilePart | None = None

    @property
    def weight(self) -> int:
        """A rough measure of the duration: equal within a factor of two, below a MiB, and for parts."""
        return 1 if self.part is not None else (sum(file.size for file in self.files) >> 20).bit_length()


@value_object
class Plan:
    """All that decides the result of a job. Two plans with one fingerprint give the same bytes.

    A part of a file is an item of its own.
    """

    fingerprint: str
    mini_batches: tuple[MiniBatch, ...]

    @property
    def items(self) -> int:
        """Number of input files, or of their parts."""
        return sum(len(mini_batch.files) for mini_batch in self.mini_batches)

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The input files, each once."""
        return tuple(dict.fromkeys(file for mini_batch in self.mini_batches for file in mini_batch.files))

    @classmethod
    def make(cls, files: tuple[InputFile, ...], size: int, fingerprint: str, parts: Parts | None = None) -> Plan:
        """Cut the input into mini-batches: consecutive chunks of `size` files [A]; `parts` of files one by one [+]."""
        chunks = enumerate(_chunks(files, size, parts or {}))
        return cls(fingerprint, tuple(MiniBatch(number, chunk, part) for number, (chunk, part) in chunks))


def _chunks(
    files: tuple[InputFile, ...], size: int, parts: Parts
) -> Iterator[tuple[tuple[InputFile, ...], FilePart | None]]:
    for is_split, group in groupby(files, key=lambda file: file.path in parts):
        if is_split:
            yield from (((file,), part) for file in group for part in parts[file.path])
            continue
        while chunk := tuple(islice(group, size)):
            yield chunk, None


def content_hash(path: Path) -> str:
    """SHA-256 over the relative names and the bytes below `path` (or of one file), as `file_hashes` has them.

    Raises:
        BatchTwinError: a file or folder cannot be read.
    """
    return hash_of(file_hashes(path))


def file_hashes(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below `path`, or of one file, by its relative name, without `__pycache__`.

    Linked folders count with their content. Of pipes, devices and broken links only the name counts.

    Raises:
        BatchTwinError: a file or folder cannot be read.
    """
    try:
        return {name: _file_hash(file) for name, file in sorted(files_below(path))}
    except OSError as error:
        raise BatchTwinError(f"{error.filename}: cannot be read: {error.strerror}") from None


def hash_of(files: Mapping[str, str]) -> str:
    """SHA-256 over names and hashes, in this order."""
    digest = hashlib.sha256()
    for name, sha256 in files.items():
        digest.update(f"{name}\0{sha256}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _file_hash(file: str) -> str:
    if not os.path.isfile(file):
        return ""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_below(top: Path) -> Iterator[tuple[str, str]]:
    """Yield (name relative to `top`, path) of every file. A folder is entered once, whatever links lead to it.

    Raises:
        OSError: a folder cannot be read.
    """
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
