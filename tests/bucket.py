"""A bucket of a store that speaks S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUCKET = "heart"


@dataclass(frozen=True)
class Bucket:
    """A bucket: what it is called here, and how to reach it."""

    files: Any
    url: str

    def put(self, name: str, data: bytes) -> str:
        """Write an object; return its URL."""
        self.files.pipe_file(f"{BUCKET}/{name}", data)
        return f"{self.url}/{name}"

    def get(self, name: str) -> bytes:
        """Read an object."""
        self.files.invalidate_cache()
        data: bytes = self.files.cat_file(f"{BUCKET}/{name}")
        return data

    def names(self, below: str) -> list[str]:
        """The names of all objects below a folder."""
        self.files.invalidate_cache()
        return sorted(name.removeprefix(f"{BUCKET}/{below}/") for name in self.files.find(f"{BUCKET}/{below}"))
