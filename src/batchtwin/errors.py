"""Errors by kind. Every message says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batchtwin.redaction import hide
from batchtwin_node.codec import value_object

COMPLETED = 0
FAILED = 1
REFUSED = 2
CANCELED = 130


class BatchTwinError(Exception):
    """Root of the errors that a user can fix. `exit_code` is the exit code of the command line."""

    exit_code = REFUSED

    def __str__(self) -> str:
        return hide(super().__str__())


@value_object
class Problem:
    """A problem in a YAML file: its key (dotted), its line (from 1) where known, and the sentence."""

    key: str
    line: int | None
    text: str


class DeploymentError(BatchTwinError):
    """An invalid deployment YAML, with every problem in it."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join(self._line(problem) for problem in self.problems))

    def _line(self, problem: Problem) -> str:
        location = f"{self.path}:{problem.line}" if problem.line else str(self.path)
        return f"{location}: {problem.key}: {problem.text}" if problem.key else f"{location}: {problem.text}"


class InputError(BatchTwinError):
    """Input that is missing, empty or unreadable."""


class UnsupportedFileError(InputError):
    """A file whose ending the MLflow driver cannot read [A]."""

    def __init__(self, path: str, ending: str, supported: Sequence[str], others: int) -> None:
        more = f" ({others} more like it.)" if others else ""
        super().__init__(
            f"ERROR:azureml:Error processing input file: '{path}'. File type '{ending}' is not supported. "
            f"Supported are {', '.join(supported)}: move the file out of the input folder, "
            f"or write a scoring script that reads it.{more}"
        )


class ModelError(BatchTwinError):
    """A model that is missing or that the MLflow driver cannot score with."""


class OutputError(BatchTwinError):
    """An output folder that must not, or cannot, be written."""


class UsageError(BatchTwinError):
    """Options that contradict each other."""
