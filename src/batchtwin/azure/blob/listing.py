"""The blobs of a container in the order of their names, page by page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from batchtwin.azure.blob.containers import BlobFiles
from batchtwin.azure.blob.names import is_blob
from batchtwin.azure.blob.properties import Blob
from batchtwin_node.codec import value_object

MOST = 5000


@value_object
class ListRequest:
    """A request for a list. With `delimiter`, names that contain it after `prefix` are grouped by the part up to it."""

    prefix: str = ""
    delimiter: str = ""
    marker: str = ""
    most: int = MOST


@value_object
class Page:
    """Blobs, and prefixes as text, in order; `next` is the first name of the next page, or empty."""

    entries: tuple[Blob | str, ...]
    next: str


def page(files: BlobFiles, container: str, request: ListRequest) -> Page:
    """Return a page of the blobs of a container.

    Raises:
        BlobError: 404, there is no such container.
    """
    entries: list[Blob | str] = []
    for name in _grouped(_names(files, container, request), request):
        if len(entries) == request.most:
            return Page(tuple(entries), name)
        if request.delimiter and name.endswith(request.delimiter) and name != request.prefix:
            entries.append(name)
        elif blob := files.look(container, name):
            entries.append(blob)
    return Page(tuple(entries), "")


def _grouped(names: Iterator[str], request: ListRequest) -> Iterator[str]:
    last = ""
    for name in names:
        at = name.find(request.delimiter, len(request.prefix)) if request.delimiter else -1
        group = name if at < 0 else name[: at + len(request.delimiter)]
        if group != last and group >= request.marker:
            yield group
        last = group


def _names(files: BlobFiles, container: str, request: ListRequest) -> Iterator[str]:
    """Yield the names with the prefix, by code point; for folders that the delimiter closes, name and '/'."""
    top = files.folder(container)
    above = request.prefix.rpartition("/")[0]
    if above and not is_blob(above):
        return
    folder = top / above
    walk = _Walk(files, container, request)
    if files.may_read(container, folder):
        yield from walk.below(folder, f"{above}/" if above else "", frozenset())


@value_object
class _Walk:
    files: BlobFiles
    container: str
    request: ListRequest

    def below(self, folder: Path, name: str, entered: frozenset[str]) -> Iterator[str]:
        """Yield the names in a folder, whose own name `name` ends with a '/'. Links are not followed in circles."""
        real = os.path.realpath(folder)
        if real in entered:
            return
        for child, is_folder in self._children(folder, name):
            if not is_folder or self.request.delimiter == "/":
                yield child
            else:
                yield from self.below(folder / child[len(name) : -1], child, entered | {real})

    def _children(self, folder: Path, name: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(folder) as entries:
                names = [(name + entry.name + "/" * entry.is_dir(), entry.is_dir()) for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((child, is_folder) for child, is_folder in names if self._wanted(child, is_folder))

    def _wanted(self, child: str, is_folder: bool) -> bool:
        """Whether there can be something to list: with the prefix, not before the marker, readable."""
        prefix, marker = self.request.prefix, self.request.marker
        if not child.startswith(prefix) or not is_blob(child.rstrip("/")):
            return False
        if child < marker and not (is_folder and marker.startswith(child)):
            return False
        return not is_folder or self.files.may_read(self.container, self.files.folder(self.container) / child)
