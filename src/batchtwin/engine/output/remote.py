"""A complete job -> the URL that its result is to have: predictions and logs first, the manifest last.

A job works in a folder; a store gets what is finished. Stores of objects show each object whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from batchtwin.engine.output.folder import BLOCK, OutputFolder
from batchtwin.errors import OutputError
from batchtwin.inputs.remote import RemoteError, Store
from batchtwin_node.failpoints import failpoints

MANIFEST = "manifest.json"
SCORE = "named-outputs/score"
# What a job brings besides; the manifest is gone first, and comes last.
PARTS = (SCORE, "logs", "failures.jsonl")
failpoint = failpoints("parent")


def work_folder(place: Path | str) -> Path:
    """Where a job works whose result goes to a URL: the same folder each time, below `outputs/`. A path is itself."""
    if not isinstance(place, str):
        return place
    url = place
    name = re.sub(r"[^A-Za-z0-9.]+", "-", url).strip("-.")[-80:]
    return Path("outputs") / f"{name}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:8]}"


def not_there(error: RemoteError, root: Path) -> OutputError:
    """Why a result did not get to its store, and what to do."""
    return OutputError(f"{error} The result is in {root}; mend the cause, then `batchtwin resume {root}`")


class RemoteOutput:
    """The place of one result in a store.

    Raises:
        RemoteError: there is no such store, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._store = Store(url)
        if self._store.is_web:
            raise OutputError(
                f"{url}: the web takes no files; give a folder, or a URL of a store such as s3:// or abfs://"
            )

    def check(self, file_name: str | None, overwrite: bool) -> None:
        """Refuse a place that holds a result.

        Raises:
            OutputError: saying which, and what to do.
        """
        first = (MANIFEST, f"{SCORE}/{file_name}") if file_name else (MANIFEST,)
        for name in () if overwrite else (*first, *PARTS):
            if self._store.has(name):
                advice = "give --overwrite to replace it, or another --output"
                raise OutputError(f"{self.url}: holds {name} already; {advice}")

    def publish(self, output: OutputFolder) -> None:
        """Copy the result of a complete job. Until its manifest is there, it is not complete.

        Raises:
            OutputError: the store refuses; what is here stays, and `resume` does this again.
        """
        try:
            for name in (MANIFEST, *PARTS):
                self._store.remove(name)
            for path in _files(output):
                self._store.put(path, path.relative_to(output.root).as_posix())
                failpoint("file published")
            self._store.put(output.manifest, MANIFEST)
            failpoint("published")
        except RemoteError as error:
            raise not_there(error, output.root) from None

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of what is there under a name.

        Raises:
            RemoteError: there is no such thing.
        """
        digest = hashlib.sha256()
        for block in self._store.blocks(name, 8 * BLOCK):
            digest.update(block)
        return digest.hexdigest()


def _files(output: OutputFolder) -> Iterator[Path]:
    for top in (output.score, output.root / "logs"):
        for at, _, names in os.walk(top):
            yield from (Path(at) / name for name in sorted(names))
    if (failures := output.root / "failures.jsonl").exists():
        yield failures
