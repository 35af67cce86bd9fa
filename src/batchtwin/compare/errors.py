"""What cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batchtwin.errors import BatchTwinError


class CompareError(BatchTwinError):
    """Root of what keeps two files from being compared."""


class UnreadableError(CompareError):
    """A file that is missing, is no file, or that the file system refuses to read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}; give a predictions file or the output folder of a job")


class NoPredictionsError(CompareError):
    """A folder that does not hold exactly one predictions file; `names` are those that it holds."""

    def __init__(self, folder: Path, inner: str, names: Sequence[str]) -> None:
        if names:
            what = f"{inner} holds {len(names)} files ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        else:
            what = f"no predictions file in {inner} (a failed job has none)"
        super().__init__(f"{folder}: {what}; name the file to compare")


class BinaryFileError(CompareError):
    """A file that is not made of text lines."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(f"{path}: looks like {kind}; expected the text lines of a predictions file")


class LongLineError(CompareError):
    """A line too long for a predictions file; `limit` in bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(f"{path}: a line of more than {limit:,} bytes; expected the text lines of a predictions file")


class TemporaryFilesError(CompareError):
    """The temporary files of a comparison cannot be written or read again."""

    def __init__(self, folder: Path | str, why: str) -> None:
        super().__init__(
            f"{folder}: {why}; a comparison needs about as much temporary space as the two files have: "
            "set TMPDIR to a folder that has it"
        )


class ToleranceError(CompareError):
    """A tolerance that makes no sense."""

    def __init__(self, name: str, value: float, expected: str) -> None:
        super().__init__(f"--{name} {value:g}: expected {expected}")
