"""The environments that were made: where they are, what each is for, its size and its last use."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from batchtwin import atomic
from batchtwin.errors import UsageError
from batchtwin.locks import hold

FOLDER = "BATCHTWIN_ENVIRONMENTS"
RECORD = "environment.json"
LOCK = "requirements.lock"
DAY = 86_400.0


@dataclass(frozen=True)
class Record:
    """What is kept beside an environment: `lines` as they were requested, `base` the interpreter it stands on.

    `created` is in seconds since the epoch, `size` in bytes. `left_out` are lines that could not be installed, and
    options of pip that uv does not have. No line holds a password.
    """

    key: str
    source: str
    python: str
    base: str
    lines: tuple[str, ...]
    left_out: tuple[str, ...]
    created: float
    size: int


@dataclass(frozen=True)
class Environment:
    """A venv or conda environment that is whole."""

    path: Path
    record: Record

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin/python"

    @property
    def last_used(self) -> float:
        """Seconds since the epoch."""
        return (self.path / RECORD).stat().st_mtime

    def touch(self) -> None:
        """Note that it is used now."""
        os.utime(self.path / RECORD)

    @property
    def lock(self) -> str:
        """The versions that are installed, a line each."""
        return (self.path / LOCK).read_text(encoding="utf-8")


def cache_folder() -> Path:
    """Return the folder of all environments: BATCHTWIN_ENVIRONMENTS, or below the user's cache."""
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER]).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "batchtwin/environments"


def load(path: Path) -> Environment | None:
    """Return the environment in a folder; None if it was not finished, or its base interpreter is gone."""
    try:
        content = json.loads((path / RECORD).read_bytes())
        lists = {name: tuple(content[name]) for name in ("lines", "left_out")}
        environment = Environment(path, Record(**{**content, **lists}))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return environment if os.access(environment.python, os.X_OK) else None


def save(path: Path, record: Record) -> Environment:
    """Mark an environment as whole: the record is written last."""
    atomic.write_text(path / RECORD, json.dumps(asdict(record), indent=2) + "\n")
    return Environment(path, record)


def environments() -> Iterator[Environment]:
    """Yield all environments, the one used last first."""
    folder = cache_folder()
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    whole = [environment for path in paths if (environment := load(path)) is not None]
    yield from sorted(whole, key=lambda environment: -environment.last_used)


def find(key: str) -> Environment:
    """Return the environment whose key begins so.

    Raises:
        UsageError: there is none, or more than one.
    """
    matching = [environment for environment in environments() if environment.record.key.startswith(key)]
    if len(matching) != 1:
        problem = "no environment" if not matching else f"{len(matching)} environments"
        raise UsageError(f"{key}: {problem} of this key in {cache_folder()}; see `batchtwin environments list`")
    return matching[0]


def lock_of(key: str) -> Path:
    """Return the file that is locked while the environment of a key is made or removed."""
    return cache_folder() / f".{key}.lock"


def remove(environment: Environment) -> None:
    """Remove an environment; it is gone for others at once.

    Raises:
        OSError: the file system refuses.
    """
    with hold(lock_of(environment.record.key)):
        discard(environment.path)


def discard(path: Path) -> None:
    """Remove a folder of the cache, whole at once. The caller holds its lock.

    Raises:
        OSError: the file system refuses.
    """
    gone = path.with_name(f".{path.name.lstrip('.')}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if path.exists():
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def unused(days: float) -> list[Environment]:
    """Return the environments that nothing has used for so many days."""
    return [environment for environment in environments() if time.time() - environment.last_used > days * DAY]


def size_of(path: Path) -> int:
    """Return the bytes of the files below a folder that stand there alone, or share their blocks with a cache."""
    total = 0
    for at, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(at, name)).st_size
    return total
