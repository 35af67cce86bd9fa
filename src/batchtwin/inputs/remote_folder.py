"""A folder (or file) of a store, such as a model -> a local copy, made once for each version."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from batchtwin import user_folders
from batchtwin.inputs.location import redact
from batchtwin.inputs.remote import RemoteError, RemoteStore, name_of, version_of


def fetch_folder(url: str, into: Path) -> Path:
    """Return a copy of a folder (or file) of a store below `into`; make it unless this version exists.

    Raises:
        RemoteError: it cannot be fetched, is of the web, or holds a name that leads out of it.
        CopyError: there is no room for it here.
    """
    store = RemoteStore(url)
    if store.is_web:
        raise RemoteError(f"{redact(url)}: the web has no folders; give a folder, or a URL of a store such as s3://")
    objects = _objects(store)
    digest = hashlib.sha256(url.encode())
    for path, info in sorted(objects.items()):
        digest.update(f"{path}\0{info.get('size')}\0{version_of(info)}\n".encode())
    folder = into / digest.hexdigest()[:32]
    whole = folder / name_of(url)
    if whole.exists():
        return whole
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        for path in objects:
            _fetch_into(store, path, part / whole.name)
        part.rename(folder)
    except OSError:
        if not whole.exists():  # else another was faster
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return whole


def _objects(store: RemoteStore) -> dict[str, Mapping[str, Any]]:
    """Return the objects to copy: the object itself, or all below, without some stores' markers for folders."""
    info = store.info()
    if info["type"] == "file":
        return {store.at: info}
    with store.refusals(store.url):
        below: dict[str, Mapping[str, Any]] = store.files.find(store.at, detail=True)
    folders = {str(folder) for path in below for folder in PurePosixPath(path).parents}
    objects = {
        path: info
        for path, info in below.items()
        if info.get("type") != "directory" and not path.endswith("/") and path not in folders
    }
    if not objects:
        raise RemoteError(f"{redact(store.url)}: there is no such file or folder")
    return objects


def _fetch_into(store: RemoteStore, path: str, folder: Path) -> None:
    target = folder / path.removeprefix(store.at).lstrip("/")
    if not Path(os.path.normpath(target)).is_relative_to(folder):
        raise RemoteError(f"{redact(store.url)}: holds {path!r}, which leads out of it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with store.refusals(store.url):
        store.files.get_file(path, str(target))


def copies_cache() -> Path:
    """Return the folder of the copies of remote models: `batchtwin` in the user's cache folder."""
    return user_folders.cache() / "batchtwin"
