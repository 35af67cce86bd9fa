"""What an interpreter has installed: this one, or another one that is asked."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from batchtwin.errors import BatchTwinError

ASK = """\
import importlib.metadata as metadata, json, platform
versions = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
print(json.dumps([platform.python_version(), versions]))
"""
ASK_SECONDS = 60.0


class InterpreterError(BatchTwinError):
    """An interpreter that is not there, or does not answer."""


@dataclass(frozen=True)
class Installed:
    """The version of Python, and those of distributions by their canonical names."""

    python: str
    versions: Mapping[str, str]

    @property
    def python_minor(self) -> str:
        """`3.11` for 3.11.7."""
        return ".".join(self.python.split(".")[:2])

    def version(self, name: str) -> str | None:
        """Return the version of a distribution, None if it is not installed."""
        return self.versions.get(canonicalize_name(name))


class Here(Mapping[str, str]):
    """The distributions of this interpreter, each looked up when it is wanted."""

    def __getitem__(self, name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            raise KeyError(name) from None

    def __iter__(self):  # type: ignore[no-untyped-def]
        return (canonicalize_name(found.metadata["Name"]) for found in metadata.distributions())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def installed_here() -> Installed:
    """Return what this interpreter has."""
    return Installed(platform.python_version(), Here())


def installed_in(python: Path) -> Installed:
    """Ask another interpreter.

    Raises:
        InterpreterError: it is not there, or does not answer.
    """
    if str(python) == sys.executable:
        return installed_here()
    try:
        done = subprocess.run(  # noqa: S603
            [str(python), "-I", "-c", ASK], capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        )
        version, versions = json.loads(done.stdout)
    except OSError as error:
        raise InterpreterError(f"{python}: {error.strerror}; --env takes the folder of a venv") from None
    except (subprocess.SubprocessError, ValueError) as error:
        raise InterpreterError(f"{python}: does not answer as a Python of 3.8 or later: {error}") from None
    return Installed(version, {canonicalize_name(name): text for name, text in versions.items()})
