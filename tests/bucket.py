"""A bucket, or container, of a store of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUCKET = "heart"


@dataclass(frozen=True)
class Bucket:
    """A bucket: what it is called here, and how to reach it."""

    files: Any
    url: str

    def at(self, name: str) -> str:
        """The URL of an object, or of a folder."""
        return f"{self.url}/{name}"

    def put(self, name: str, data: bytes) -> str:
        """Write an object; return its URL."""
        more = {"overwrite": True} if self.url.startswith("abfs:") else {}
        self.files.pipe_file(f"{BUCKET}/{name}", data, **more)
        return self.at(name)

    def folder(self, name: str) -> None:
        """Make a marker for an empty folder, as the consoles of stores do, where there are such."""
        if self.url.startswith("s3:"):
            self.files.call_s3("put_object", Bucket=BUCKET, Key=f"{name}/")

    def get(self, name: str) -> bytes:
        """Read an object."""
        self.files.invalidate_cache()
        data: bytes = self.files.cat_file(f"{BUCKET}/{name}")
        return data

    def remove(self, name: str) -> None:
        """Remove an object, or a folder with all below it."""
        self.files.invalidate_cache()
        self.files.rm(f"{BUCKET}/{name}", recursive=True)

    def names(self, below: str) -> list[str]:
        """The names of all objects below a folder."""
        self.files.invalidate_cache()
        return sorted(name.removeprefix(f"{BUCKET}/{below}/") for name in self.files.find(f"{BUCKET}/{below}"))
