"""What a job was made of, part by part, so that a change can be named."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from batchtwin.deployment.schema import Deployment
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import content_hash


class Identity(BaseModel):
    """SHA-256 of the parsed deployment (comments do not matter), of model and of code by content."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    deployment: str
    model: str
    code: str | None

    @classmethod
    def of(cls, deployment: Deployment, model: Path, code: Path | None) -> Identity:
        """Hash what is there now.

        Raises:
            BatchTwinError: a file cannot be read.
        """
        text = deployment.model_dump_json().encode()
        return cls(
            deployment=hashlib.sha256(text).hexdigest(),
            model=content_hash(model),
            code=content_hash(code) if code else None,
        )

    def changes(self, now: Identity) -> list[str]:
        """Name the parts that differ."""
        names = {"deployment": "the deployment", "model": "the model", "code": "the code folder"}
        return [name for part, name in names.items() if getattr(self, part) != getattr(now, part)]

    def fingerprint(self, files: tuple[InputFile, ...]) -> str:
        """One hash for a job: these parts, and the input by name, size and time of change."""
        digest = hashlib.sha256(self.model_dump_json().encode())
        for file in files:
            digest.update(f"{file.name}\0{file.size}\0{file.mtime_ns}\n".encode())
        return digest.hexdigest()
