"""Paths that are URLs of a store, such as `s3://` or `https://`: listed, fetched and written through fsspec."""

from __future__ import annotations

import errno
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from batchtwin import atomic
from batchtwin.errors import InputError, OutputError
from batchtwin.extras import install_command
from batchtwin.inputs.changes import InputChange
from batchtwin.inputs.listing import InputFile, Inputs, LeftOut
from batchtwin.inputs.location import EXTRAS, PROTOCOLS, is_store, redact, without_query

# Keys of an object's version in different stores, the most reliable first.
VERSIONS = (
    *("ETag", "etag", "generation", "md5Hash", "Content-MD5", "Digest"),
    *("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "created"),
)
# Errors that only this machine can cause.
OF_THIS_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
HEADS = 500  # parallel reads


class RemoteError(InputError):
    """A URL whose store cannot be reached, or lacks the object."""


class CopyError(OutputError):
    """A copy that cannot be written here, through no fault of the object."""


class RemoteStore:
    """The store of `url`; `at` is the path in it.

    Raises:
        RemoteError: there is no such store, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        protocol = url.partition("://")[0].lower()
        if not is_store(url):
            raise RemoteError(f"{redact(url)}: {protocol}:// is no store that can be read; {', '.join(PROTOCOLS)} are")
        if "::" in url:
            raise RemoteError(f"{redact(url)}: '::' puts one store into another; name one store alone")
        import fsspec

        # It guesses about a bucket on stderr.
        logging.getLogger("gcsfs").setLevel(logging.ERROR)
        try:
            with self.refusals(url):
                self.files, self.at = fsspec.core.url_to_fs(url)
        except ImportError:
            command = install_command(EXTRAS.get(protocol, ""))
            text = f"{redact(url)}: its driver is not installed; {command}"
            raise RemoteError(text) from None
        self.is_web = protocol in {"http", "https"}

    def info(self) -> Mapping[str, Any]:
        """Return the store's information about the path.

        Raises:
            RemoteError: it does not exist.
        """
        with self.refusals(self.url):
            info: Mapping[str, Any] = self.files.info(self.at)
        return info

    def entries(self) -> list[Mapping[str, Any]]:
        """Return the entries of the folder."""
        self.files.invalidate_cache()
        with self.refusals(self.url):
            entries: list[Mapping[str, Any]] = self.files.ls(self.at, detail=True)
        return entries

    def fetch(self, target: Path) -> None:
        """Copy the object to a file, which is whole or missing.

        Raises:
            RemoteError: the store does not give it.
            CopyError: it cannot be written.
        """
        part = atomic.temporary_beside(target)
        try:
            with self.refusals(self.url):
                self.files.get_file(self.at, str(part))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def put(self, source: Path, name: str) -> None:
        """Copy a file to `name` below the path. Stores of objects show it whole or not at all."""
        with self.refusals(f"{self.url.rstrip('/')}/{name}"):
            self.files.put_file(str(source), f"{self.at.rstrip('/')}/{name}")

    def has(self, name: str) -> bool:
        """Whether `name` exists below the path."""
        self.files.invalidate_cache()
        with self.refusals(self.url):
            return bool(self.files.exists(f"{self.at.rstrip('/')}/{name}"))

    def remove(self, name: str) -> None:
        """Remove a name below the path, with all below it, if it exists. `*` and the like are names, not patterns."""
        self.files.invalidate_cache()
        url = f"{self.at.rstrip('/')}/{name}"
        with self.refusals(f"{self.url.rstrip('/')}/{name}"):
            for path in self.files.find(url) if self.files.exists(url) else ():
                if path == url or path.startswith(f"{url}/"):
                    self.files.rm_file(path)

    @contextmanager
    def open(self, name: str, size: int) -> Iterator[BufferedIOBase]:
        """Open a name below the path to read, `size` bytes per request."""
        with (
            self.refusals(f"{self.url.rstrip('/')}/{name}"),
            self.files.open(f"{self.at.rstrip('/')}/{name}", "rb", block_size=size) as stream,
        ):
            yield stream

    @contextmanager
    def refusals(self, url: str) -> Iterator[None]:
        """Translate the errors of drivers, of whatever class: each driver has its own."""
        try:
            yield
        except FileNotFoundError:
            raise RemoteError(f"{redact(url)}: there is no such file or folder") from None
        except ImportError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in OF_THIS_MACHINE:
                advice = "make room, or name another folder for copies: BATCHTWIN_COPIES"
                raise CopyError(f"{error.filename or redact(url)}: {error.strerror}; {advice}") from None
            text = redact(" ".join(str(error).split())) or type(error).__name__
            raise RemoteError(f"{redact(url)}: {type(error).__name__}: {text}; may you read it?") from None


def version_of(info: Mapping[str, Any]) -> int:
    """Return a number that changes with the object, if its store tells; 0 if not."""
    for key in VERSIONS:
        if (value := info.get(key)) is not None:
            text = value.isoformat() if isinstance(value, datetime) else str(value)
            return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
    return 0


def list_remote(url: str) -> Inputs:
    """List the items of a folder or of one file in a store, by the rules for folders here.

    On the web there are no folders: such a URL is one file.

    Raises:
        RemoteError: the store cannot be reached, or lacks the object.
        InputError: the folder holds no file to score.
    """
    store = RemoteStore(url)
    store.files.invalidate_cache()
    info = store.info()
    if info["type"] != "directory":
        return Inputs(url, False, (_file(store, url, info),))
    files: list[InputFile] = []
    left_out: list[LeftOut] = []
    for entry in store.entries():
        name = name_of(entry["name"])
        if entry["name"].rstrip("/") == store.at.rstrip("/"):
            continue  # the folder's own marker
        if entry["type"] == "directory":
            left_out.append(LeftOut(f"{name}/", "nested folders are not explored"))
        elif name.startswith("."):
            left_out.append(LeftOut(name, "hidden"))
        elif not entry["size"]:
            left_out.append(LeftOut(name, "empty"))
        else:
            files.append(_file(store, f"{url.rstrip('/')}/{name}", entry))
    files.sort(key=lambda file: file.name)
    inputs = Inputs(url, True, tuple(files), tuple(sorted(left_out, key=lambda entry: (entry.why, entry.name))))
    if not files:
        reasons = "".join(f"; {warning}" for warning in inputs.warnings())
        raise InputError(f"{redact(url)}: holds no file to score{reasons}. Put the files directly into this folder")
    return inputs


def heads(root: str, paths: Sequence[str], size: int) -> Iterator[bytes | str]:
    """Yield the first `size` bytes of each object of one store, or why there are none: many reads in parallel.

    Raises:
        RemoteError: the store of `root` cannot be reached.
    """
    import fsspec

    store = RemoteStore(root)
    for chunk in (paths[number : number + HEADS] for number in range(0, len(paths), HEADS)):
        places = [fsspec.core.strip_protocol(path) for path in chunk]
        with store.refusals(root):
            contents = store.files.cat_ranges(places, [0] * len(chunk), [size] * len(chunk), on_error="return")
        for head in contents:
            yield f"cannot be read: {head}" if isinstance(head, Exception) else bytes(head)


def changed_files(inputs: Inputs) -> Iterator[InputChange]:
    """Name the files of a store that have changed: by size, and by the store's version of them."""
    try:
        now = {file.path: file for file in list_remote(str(inputs.root)).files}
    except InputError as error:
        yield InputChange(str(inputs.root), f"input {error}")
        return
    for file in inputs.files:
        current = now.get(file.path)
        if current is None:
            yield InputChange(file.path, f"input {file.path}: there is no such file any more")
        elif current.size != file.size:
            text = f"input {file.path} has {current.size} bytes, {file.size} when the job began"
            yield InputChange(file.path, text)
        elif current.mtime_ns != file.mtime_ns:
            yield InputChange(file.path, f"input {file.path} was written since the job began")


def name_of(path: str) -> str:
    """Return the last part of a store's path, as a bare file name.

    Raises:
        RemoteError: it is no valid file name here.
    """
    name = without_query(path).rstrip("/").rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name:
        raise RemoteError(f"{redact(path)}: {name!r} cannot be the name of a file; name one, or a folder")
    return name


def _file(store: RemoteStore, url: str, info: Mapping[str, Any]) -> InputFile:
    name_of(url)
    if not store.is_web and not info["size"]:
        raise InputError(f"{redact(url)}: empty; --input takes a folder of files, or one file")
    return InputFile(url, int(info["size"] or 0), version_of(info))
