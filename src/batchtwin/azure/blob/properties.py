"""Properties and metadata of blobs. A blob is a file; its properties are in a JSON file in another folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from batchtwin import atomic
from batchtwin_node.codec import value_object

CONTENT_TYPE = "application/octet-stream"


@value_object
class BlobProperties:
    """Content headers by their lower case names (`content-type`, `content-md5` ...) and the user's metadata.

    `changed_ns` is the time of the last change without new content, 0 for never.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    changed_ns: int = 0


@value_object
class Blob:
    """A blob at one moment; `path` is its file, `size` is in bytes."""

    container: str
    name: str
    path: Path
    size: int
    mtime_ns: int
    properties: BlobProperties

    @property
    def etag(self) -> str:
        """The entity tag, in quotes. It changes with content and metadata."""
        version = f"{self.mtime_ns} {self.size} {self.properties.changed_ns}"
        return f'"0x{hashlib.sha256(version.encode()).hexdigest()[:16].upper()}"'

    @property
    def modified(self) -> datetime:
        """The time of the last change of content or metadata, in whole seconds."""
        return datetime.fromtimestamp(max(self.mtime_ns, self.properties.changed_ns) // 10**9, UTC)

    @property
    def last_modified(self) -> str:
        """`modified` as a header."""
        return format_datetime(self.modified, usegmt=True)


class PropertiesFolder:
    """Properties by container, blob and content (`size` and `mtime_ns`).

    The properties of new content are written before the content. A file that another program wrote has none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, container: str, name: str, size: int, mtime_ns: int) -> BlobProperties:
        """Return the properties of a blob with this content; empty ones if there are none."""
        try:
            return BlobProperties(**json.loads(self._file(container, name, size, mtime_ns).read_bytes()))
        except FileNotFoundError:
            return BlobProperties()

    def write(self, blob: Blob) -> None:
        """Write the properties of a blob, whole or not at all."""
        file = self._file(blob.container, blob.name, blob.size, blob.mtime_ns)
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(file, json.dumps(asdict(blob.properties)), sync=False)

    def remove(self, blob: Blob) -> None:
        """Remove the properties of content that was replaced or deleted."""
        self._file(blob.container, blob.name, blob.size, blob.mtime_ns).unlink(missing_ok=True)

    def _file(self, container: str, name: str, size: int, mtime_ns: int) -> Path:
        key = hashlib.sha256(name.encode()).hexdigest()
        return self._folder / container / f"{key}-{size}-{mtime_ns}.json"
