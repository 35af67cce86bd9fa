"""Uploads in blocks. Each block is a file until a block list joins some of them to the blob."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from batchtwin.azure.blob.containers import STAGING, BlobFiles, Condition, Sink
from batchtwin.azure.blob.errors import BlobError
from batchtwin.azure.blob.properties import Blob, BlobProperties

MOST_BLOCKS = 50_000


def put_block(files: BlobFiles, container: str, name: str, key: str, sink: Sink) -> None:
    """Keep the sink's content as a block of a blob that may not exist yet; `key` is from `block_key`.

    Raises:
        BlobError: 404, there is no such container.
    """
    files.folder(container)
    folder = _folder(files, container, name)
    folder.mkdir(parents=True, exist_ok=True)
    sink.path.replace(folder / key)


def commit_blocks(
    files: BlobFiles, container: str, name: str, keys: Sequence[str], properties: BlobProperties, condition: Condition
) -> Blob:
    """Make the blocks the content of a blob, and drop all its blocks.

    Raises:
        BlobError: 400, a block is missing or named twice, or there are too many; and those of `BlobFiles.commit`.
    """
    if len(keys) > MOST_BLOCKS or len(set(keys)) < len(keys):
        raise BlobError(400, "InvalidBlockList", f"A list must name at most {MOST_BLOCKS} blocks, each once.")
    folder = _folder(files, container, name)
    with files.sink() as sink:
        for key in keys:
            try:
                sink.copy(folder / key)
            except FileNotFoundError:
                text = f"{container}/{name}: block {bytes.fromhex(key)!r} was not uploaded."
                raise BlobError(400, "InvalidBlockList", text) from None
        blob = files.commit(container, name, sink, properties, condition)
    _drop(folder)
    return blob


def _folder(files: BlobFiles, container: str, name: str) -> Path:
    return files.blocks / container / hashlib.sha256(name.encode()).hexdigest()


def _drop(folder: Path) -> None:
    """Remove the blocks by one rename, so that a block that arrives at the same time is not lost with them."""
    gone = folder.parents[1].parent / STAGING / uuid.uuid4().hex
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone)
