"""A blob is a file; what a file cannot carry lies beside it, in a folder of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from batchtwin import atomic

CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class BlobProperties:
    """Content headers by their lower case names (`content-type`, `content-md5` ...) and the user's metadata.

    `changed_ns` is when they were changed without the content, 0 for never.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    changed_ns: int = 0


@dataclass(frozen=True)
class Blob:
    """A blob as it was when it was looked at; `path` is its file, `size` its bytes."""

    container: str
    name: str
    path: Path
    size: int
    mtime_ns: int
    properties: BlobProperties

    @property
    def etag(self) -> str:
        """Another one whenever content or metadata are changed; with the quotes that HTTP wants."""
        seen = f"{self.mtime_ns} {self.size} {self.properties.changed_ns}"
        return f'"0x{hashlib.sha256(seen.encode()).hexdigest()[:16].upper()}"'

    @property
    def modified(self) -> datetime:
        """When content or metadata were last changed, in whole seconds as HTTP has them."""
        return datetime.fromtimestamp(max(self.mtime_ns, self.properties.changed_ns) // 10**9, UTC)

    @property
    def last_modified(self) -> str:
        """`modified` as a header."""
        return format_datetime(self.modified, usegmt=True)


class PropertiesFolder:
    """BlobProperties by container, blob, and the very content (its `size` and `mtime_ns`) that they belong to.

    So those of a new content are written before it, and a blob has its own or, put there by someone else, none.
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
        """Keep the properties of a blob, whole or not at all."""
        file = self._file(blob.container, blob.name, blob.size, blob.mtime_ns)
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(file, json.dumps(asdict(blob.properties)), sync=False)

    def remove(self, blob: Blob) -> None:
        """Forget the properties of a content that is gone."""
        self._file(blob.container, blob.name, blob.size, blob.mtime_ns).unlink(missing_ok=True)

    def _file(self, container: str, name: str, size: int, mtime_ns: int) -> Path:
        key = hashlib.sha256(name.encode()).hexdigest()
        return self._folder / container / f"{key}-{size}-{mtime_ns}.json"
