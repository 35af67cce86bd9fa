"""The packages of an interpreter: this one, or another one, which is run."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from packaging.utils import canonicalize_name

from batchtwin import atomic
from batchtwin.environments.cache import cache_folder
from batchtwin.errors import BatchTwinError
from batchtwin_node.codec import value_object
from batchtwin_node.script.imports import is_installed

QUERY = """\
import importlib.metadata as metadata, json, platform
versions = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
print(json.dumps([platform.python_version(), versions]))
"""
# Prints which of the modules in its arguments are missing.
FIND = """\
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""
Answer = TypeVar("Answer")
QUERY_SECONDS = 60.0
ANSWERS_FOLDER = "installed"


class InterpreterError(BatchTwinError):
    """An interpreter that does not exist, or does not answer."""


@value_object
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


class OwnDistributions(Mapping[str, str]):
    """The distributions of this interpreter, each looked up on access."""

    def __getitem__(self, name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter({canonicalize_name(distribution.metadata["Name"]) for distribution in metadata.distributions()})

    def __len__(self) -> int:
        return sum(1 for _ in self)


def installed_here() -> Installed:
    """Return the packages of this interpreter."""
    return Installed(platform.python_version(), OwnDistributions())


def installed_in(python: Path) -> Installed:
    """Return the packages of another interpreter. It is run once, and again after an installation.

    Raises:
        InterpreterError: it is not there, or does not answer.
    """
    if str(python) == sys.executable:
        return installed_here()
    stamp = _stamp(python)
    answer = cache_folder() / ANSWERS_FOLDER / f"{hashlib.sha256(str(python).encode()).hexdigest()[:20]}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(answer.read_bytes())
        if stamp and content["stamp"] == stamp:
            return Installed(content["python"], content["versions"])
    installed = _query(python)
    if stamp:
        content = {"stamp": stamp, "python": installed.python, "versions": dict(installed.versions)}
        with suppress(OSError):  # a cache that cannot be written is no reason to stop
            answer.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            atomic.write_text(answer, json.dumps(content), sync=False)
    return installed


def from_lock(python: str, lock: str) -> Installed:
    """Return the packages in the lines `name==version` of a lock."""
    pairs = (line.strip().split("==") for line in lock.splitlines() if re.match(r"[\w.-]+==\S+$", line.strip()))
    return Installed(python, {canonicalize_name(name): version for name, version in pairs})


def _stamp(python: Path) -> list[str]:
    """Return a text that each installation changes; empty if unknown, as with packages of another environment."""
    prefix = python.parent.parent
    with suppress(OSError):
        if re.search(r"include-system-site-packages\s*=\s*true", (prefix / "pyvenv.cfg").read_text()):
            return []
    folders = sorted(prefix.glob("lib*/python*/*-packages"))
    with suppress(OSError):
        return [f"{path} {path.stat().st_mtime_ns}" for path in (python, *folders)] if folders else []
    return []


def _query(python: Path) -> Installed:
    return _answer(python, (QUERY,), _installed)


def _installed(answer: Any) -> Installed:
    version, versions = answer
    return Installed(version, {canonicalize_name(name): str(text) for name, text in versions.items()})


def _answer(python: Path, words: Sequence[str], read: Callable[[Any], Answer]) -> Answer:
    """Run a program that prints JSON; `words` are its text and its arguments, `read` converts its output."""
    from batchtwin.environments.uv import variables

    try:
        done = subprocess.run(  # noqa: S603
            [str(python), "-I", "-c", *words],
            env=variables(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=QUERY_SECONDS,
            check=False,
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise InterpreterError(f"{python}: {reason}; --env takes the folder of a venv or conda environment") from None
    except subprocess.TimeoutExpired:
        raise InterpreterError(f"{python}: does not answer within {QUERY_SECONDS:g} seconds; is it a Python?") from None
    try:
        return read(json.loads(done.stdout))
    except (ValueError, TypeError, AttributeError):
        last = done.stderr.strip().splitlines()[-1:]
        answer = f"it says {(last or [done.stdout])[0][:300]!r}, and ends with exit code {done.returncode}"
        raise InterpreterError(f"{python}: does not answer as a Python of 3.8 or later: {answer}") from None


def missing_modules(python: Path | None, names: Sequence[str]) -> set[str]:
    """Return which of these top-level modules an interpreter (None: this one) lacks. Nothing is imported.

    Raises:
        InterpreterError: it does not answer.
    """
    if python is None:
        return {name for name in names if not is_installed(name)}
    return _answer(python, (FIND, *names), lambda missing: {str(name) for name in missing})
