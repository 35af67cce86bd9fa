"""Containers are folders and blobs are files in them. The workspace and jobs read them from the disk.

A blob is never changed in place: a new file with the new content replaces the old one. So files may be hard-linked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchtwin.azure.blob.errors import blob_not_found, container_not_found, path_conflict
from batchtwin.azure.blob.properties import Blob, BlobProperties, PropertiesFolder

STAGING = ".staging"
BLOCKS = ".blocks"
PROPERTIES = ".details"
# After a week, as in Azure Storage.
ABANDONED_SECONDS = 7 * 24 * 3600
_CHUNK = 1 << 20

# Gets the existing blob, and raises BlobError if it must not change.
Condition = Callable[[Blob | None], None]


class Sink:
    """A temporary file that takes the bytes of a request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.md5 = hashlib.md5(usedforsecurity=False)
        self._file = path.open("xb", buffering=0)

    def write(self, data: bytes | bytearray) -> None:
        """Append `data`."""
        self._append(data)
        self.md5.update(data)

    def copy(self, source: Path) -> None:
        """Append a whole file, without a checksum."""
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                self._append(chunk)

    def close(self) -> None:
        """Remove the file unless it was moved away."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _append(self, data: bytes | bytearray) -> None:
        # On a full disk a write takes fewer bytes than it got; only the next write raises.
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += len(data)


class BlobFiles:
    """The folder `root`. Links that lead out of a container are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._properties = PropertiesFolder(root / PROPERTIES)
        # One change at a time: the blob does not change between the check of a condition and the change.
        self._lock = threading.Lock()
        self.blocks = root / BLOCKS
        (root / STAGING).mkdir(parents=True, exist_ok=True)
        self.blocks.mkdir(exist_ok=True)
        self._sweep()

    def create_container(self, container: str) -> bool:
        """Make a container; False if it exists."""
        try:
            (self._root / container).mkdir()
        except FileExistsError:
            return False
        return True

    def folder(self, container: str) -> Path:
        """Return the folder of a container.

        Raises:
            BlobError: 404, there is no such container.
        """
        folder = self._root / container
        if not folder.is_dir():
            raise container_not_found(container)
        return folder

    def get(self, container: str, name: str) -> Blob:
        """Return a blob.

        Raises:
            BlobError: 404, there is no such blob or container.
        """
        blob = self.look(container, name)
        if blob is None:
            raise blob_not_found(container, name)
        return blob

    def look(self, container: str, name: str) -> Blob | None:
        """Return a blob, or None.

        Raises:
            BlobError: 404, there is no such container.
        """
        path = self.folder(container) / name
        try:
            status = path.stat()
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                return None
            raise
        if not stat.S_ISREG(status.st_mode) or not self.may_read(container, path):
            return None
        return self._blob(container, name, path, status)

    def open(self, container: str, name: str) -> tuple[Blob, BinaryIO]:
        """Return a blob with its open file: the content stays the same even if the blob changes.

        Raises:
            BlobError: 404, there is no such blob or container.
        """
        blob = self.get(container, name)
        try:
            file = blob.path.open("rb", buffering=0)
        except FileNotFoundError:
            raise blob_not_found(container, name) from None
        return self._blob(container, name, blob.path, os.fstat(file.fileno())), file

    def may_read(self, container: str, path: Path) -> bool:
        """Whether a path, with its links followed, is in the container."""
        return path.resolve().is_relative_to((self._root / container).resolve())

    @contextmanager
    def sink(self) -> Iterator[Sink]:
        """Yield a temporary file; it is removed at the end unless it was committed."""
        sink = Sink(self._root / STAGING / uuid.uuid4().hex)
        try:
            yield sink
        finally:
            sink.close()

    def commit(self, container: str, name: str, sink: Sink, properties: BlobProperties, condition: Condition) -> Blob:
        """Make the sink's content and these properties those of a blob: both or neither.

        Raises:
            BlobError: those of `condition`; 404 without container; 409 where no file can be.
        """
        with self._lock:
            path = self.folder(container) / name
            old = self.look(container, name)
            condition(old)
            self._make_room(container, name, path)
            now = time.time_ns()
            os.utime(sink.path, ns=(now, now))
            new = Blob(container, name, path, sink.size, now, properties)
            self._properties.write(new)
            sink.path.replace(path)
            if old is not None:
                self._properties.remove(old)
            return new

    def change(self, container: str, name: str, metadata: dict[str, str], condition: Condition) -> Blob:
        """Replace a blob's metadata.

        Raises:
            BlobError: those of `condition`; 404 without blob or container.
        """
        with self._lock:
            old = self.get(container, name)
            condition(old)
            new = replace(old, properties=replace(old.properties, metadata=metadata, changed_ns=time.time_ns()))
            self._properties.write(new)
            return new

    def delete(self, container: str, name: str, condition: Condition) -> None:
        """Remove a blob, and the folders that are empty then.

        Raises:
            BlobError: those of `condition`; 404 without blob or container; 409 if a link leads to it.
        """
        with self._lock:
            old = self.get(container, name)
            condition(old)
            self._make_room(container, name, old.path)
            old.path.unlink()
            self._properties.remove(old)
            for above in old.path.parents[: name.count("/")]:
                if any(above.iterdir()):
                    break
                above.rmdir()

    def _make_room(self, container: str, name: str, path: Path) -> None:
        """Make the folders above a file that is about to change, but not behind a link that leads out."""
        inside = (self._root / container).resolve()
        nearest = next(folder for folder in path.parents if folder.exists())
        if not nearest.is_dir() or not nearest.resolve().is_relative_to(inside) or path.is_dir():
            raise path_conflict(container, name)
        path.parent.mkdir(parents=True, exist_ok=True)

    def _blob(self, container: str, name: str, path: Path, status: os.stat_result) -> Blob:
        properties = self._properties.read(container, name, status.st_size, status.st_mtime_ns)
        return Blob(container, name, path, status.st_size, status.st_mtime_ns, properties)

    def _sweep(self) -> None:
        """Remove files of uploads that were never completed."""
        for left in (*(self._root / STAGING).iterdir(), *self.blocks.glob("*/*")):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
