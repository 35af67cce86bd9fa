"""The result of a complete job, copied to a URL: predictions and logs first, then the manifest, last the report.

A job works in a folder; a store gets what is finished. Stores of objects show each object whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from batchtwin.engine.output.folder import FAILURES, LOGS, MANIFEST, REPORT, SCORE, OutputFolder
from batchtwin.errors import OutputError
from batchtwin.inputs.remote import RemoteError, RemoteStore
from batchtwin_node.failpoints import failpoints

# What else a job copies. The manifest is removed first and copied last: with it the result is whole. Only the report
# follows.
PARTS = (SCORE, LOGS, FAILURES, REPORT)
READ_BYTES = 8 << 20  # of one request to a store
failpoint = failpoints("parent")


def work_folder(location: Path | str) -> Path:
    """Return the folder of a job whose result goes to a URL: always the same, below `outputs/`. A path is itself."""
    if not isinstance(location, str):
        return location
    url = location
    name = re.sub(r"[^A-Za-z0-9.]+", "-", url).strip("-.")[-80:]
    return Path("outputs") / f"{name}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:8]}"


def not_published(error: RemoteError, output: OutputFolder) -> OutputError:
    """Say why a result did not get to its store, and what to do."""
    return OutputError(f"{error} The result is in {output.root}; {output.advice}")


class RemoteOutput:
    """The place of one result in a store.

    Raises:
        RemoteError: there is no such store, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._store = RemoteStore(url)
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
        """Copy the result of a complete job. Without its manifest the copy is not complete.

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
            raise not_published(error, output) from None

    def publish_report(self, output: OutputFolder) -> None:
        """Copy the report of a job whose result is in the store already.

        Raises:
            RemoteError: the store refuses.
        """
        if _is_regular(output.report):
            self._store.put(output.report, REPORT)

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of an object.

        Raises:
            RemoteError: there is no such object.
        """
        with self._store.open(name, READ_BYTES) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(output: OutputFolder) -> Iterator[Path]:
    for top in (output.score, output.logs):
        for at, _, names in os.walk(top):
            yield from filter(_is_regular, (Path(at) / name for name in sorted(names)))
    if _is_regular(output.failures):
        yield output.failures


def _is_regular(path: Path) -> bool:
    """Whether a file is no link: a link could lead to a file that is not of the job."""
    return path.is_file() and not path.is_symlink()
