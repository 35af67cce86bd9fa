"""manifest.json: what a complete job was made of, and what it gave. It is written last: with it the job is complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from batchtwin import atomic
from batchtwin.engine.identity import Identity
from batchtwin.errors import BatchTwinError
from batchtwin.safe_open import open_file
from batchtwin_node.codec import value_object


class ManifestError(BatchTwinError):
    """A manifest that cannot be read."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@value_object
class ManifestInput:
    """One input file, or a part of one, from `first_row`. Rows are counted where the scoring script tells them file by
    file; else they are null.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str | None
    mini_batch: int
    rows_in: int | None
    rows_out: int | None
    failed: bool
    first_row: int | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")


class ManifestOutput(_Part):
    """The predictions file: its bare name, size in bytes, and SHA-256."""

    file: str
    bytes: int
    sha256: str


class AcceptedChange(_Part):
    """Changes that a person accepted for run number `run`, when `done` mini-batches had ended: these stayed.

    `before` is the identity that those were made with.
    """

    run: int
    at: str
    done: int
    changes: tuple[str, ...]
    before: Identity


class ChangedInput(_Part):
    """An input that changed while the job ran: its rows may be of either content. `change` is the sentence."""

    path: str
    change: str


class Manifest(_Part):
    """A complete job. Times are ISO 8601 in UTC; items are input files, rows are output lines.

    `fingerprint` is of what the job began with, `identity` of what it ended with: they differ by `accepted`.
    """

    batchtwin: str
    python: str
    deployment: str
    fingerprint: str
    identity: Identity
    started: str
    ended: str
    runs: int
    workers: int
    mini_batches: int
    items: int
    succeeded: int
    failed: int
    rows: int
    output: ManifestOutput | None
    accepted: tuple[AcceptedChange, ...] = ()
    changed_inputs: tuple[ChangedInput, ...] = ()
    inputs: tuple[ManifestInput, ...]

    def write(self, path: Path, inputs: Iterable[ManifestInput]) -> None:
        """Write the file, with `inputs` in the place of its own: a whole file or none."""
        atomic.write_text(path, self._text(inputs))

    def _text(self, inputs: Iterable[ManifestInput]) -> Iterator[str]:
        """Yield the text piece by piece: millions of inputs are never in memory at once."""
        yield self.model_dump_json(indent=1, exclude={"inputs"}).removesuffix("\n}") + ',\n "inputs": ['
        for number, entry in enumerate(inputs):
            yield f"{',' if number else ''}\n  {_inputs.dump_json(entry).decode()}"
        yield "\n ]\n}\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest.

        Raises:
            ManifestError: it is damaged.
        """
        try:
            return cls.model_validate_json(_read(path))
        except (OSError, ValidationError, json.JSONDecodeError) as error:
            first = str(error).splitlines()[0]
            raise ManifestError(f"{path}: not a manifest that can be read: {first}") from None


_inputs: TypeAdapter[ManifestInput] = TypeAdapter(ManifestInput)


def _read(path: Path) -> bytes:
    with open_file(path) as stream:
        return stream.read()
