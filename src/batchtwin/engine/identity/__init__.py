"""What a job was made of, part by part, so that a change can be named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from batchtwin.deployment.schema import Deployment
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import content_hash, hash_of

Part = Literal["deployment", "model", "code"]
NAMES: dict[Part, str] = {"deployment": "the deployment", "model": "the model", "code": "the code folder"}


class Identity(BaseModel):
    """SHA-256 of the parsed deployment (comments do not matter), of model and of code by content."""

    model_config = ConfigDict(frozen=True, protected_namespaces=(), defer_build=True)

    deployment: str
    model: str
    code: str | None

    @classmethod
    def of(cls, deployment: Deployment, model: Path, code: Path | Mapping[str, str] | None) -> Identity:
        """Hash what is there now; `code` is the code folder, or the hash of each file in it, None without one.

        Raises:
            BatchTwinError: a file cannot be read.
        """
        text = deployment.model_dump_json().encode()
        return cls(
            deployment=hashlib.sha256(text).hexdigest(),
            model=content_hash(model),
            code=None if code is None else content_hash(code) if isinstance(code, Path) else hash_of(code),
        )

    def changes(self, now: Identity) -> list[str]:
        """Name the parts that differ."""
        return [name for part, name in NAMES.items() if getattr(self, part) != getattr(now, part)]

    def fingerprint(self, files: tuple[InputFile, ...]) -> str:
        """One hash for a job: these parts, and the input by name, size and time of change."""
        digest = hashlib.sha256(self.model_dump_json().encode())
        for file in files:
            digest.update(f"{file.name}\0{file.size}\0{file.mtime_ns}\n".encode())
        return digest.hexdigest()
