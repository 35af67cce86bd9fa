"""The cache of environments: where they are, what each is for, its size and its last use."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from batchtwin import atomic, user_folders
from batchtwin.errors import UsageError
from batchtwin.locks import acquire, hold, share
from batchtwin_node.codec import value_object

FOLDER = "BATCHTWIN_ENVIRONMENTS"
RECORD = "environment.json"
LOCK = "requirements.lock"
DAY = 86_400.0
MAXIMUM, DEFAULT_MAXIMUM = "BATCHTWIN_ENVIRONMENTS_MAX", "20g"
# An environment that was used in the last so many seconds is not removed to make room: a job may be about to start.
JUST_USED = 60.0
# Folders of the cache: those being made or removed, and finished ones.
LEFT_OVER = re.compile(r"\.(?P<key>[0-9a-f]{20})\.(new|gone)|(?P<whole>[0-9a-f]{20})")


@value_object
class EnvironmentRecord:
    """The record of an environment: `lines` as they were requested, `base` the interpreter that it uses.

    `created` is in seconds since the epoch, `size` in bytes. `left_out` are lines that could not be installed, and
    options of pip that uv lacks. No line holds a password.
    """

    key: str
    source: str
    python: str
    base: str
    lines: tuple[str, ...]
    left_out: tuple[str, ...]
    created: float
    size: int


@value_object
class Environment:
    """A finished venv or conda environment."""

    path: Path
    record: EnvironmentRecord

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin/python"

    @property
    def last_used(self) -> float:
        """Seconds since the epoch."""
        return (self.path / RECORD).stat().st_mtime

    def touch(self) -> None:
        """Record that it is used now; in a folder that cannot be written this is skipped."""
        with suppress(OSError):
            os.utime(self.path / RECORD)

    def use(self) -> int | None:
        """Protect it from removal and renewal until the returned descriptor is closed.

        None if nobody can remove it, because the folder cannot be written.

        Raises:
            UsageError: it was removed, or made again.
        """
        descriptor = None
        with suppress(OSError):
            descriptor = share(use_of(self.record.key))
        current = load(self.path)
        if current is None or current.record != self.record:
            raise UsageError(f"{self.path}: was removed or made again just now; run this again")
        return descriptor

    @property
    def lock(self) -> str:
        """The versions that are installed, a line each."""
        return (self.path / LOCK).read_text(encoding="utf-8")


def cache_folder() -> Path:
    """Return the folder of all environments: BATCHTWIN_ENVIRONMENTS, or below the user's cache."""
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER]).absolute()
    return user_folders.cache() / "batchtwin/environments"


def load(path: Path) -> Environment | None:
    """Return the environment in a folder; None if it was not finished, or its base interpreter is missing."""
    try:
        content = json.loads((path / RECORD).read_bytes())
        lists = {name: tuple(content[name]) for name in ("lines", "left_out")}
        environment = Environment(path, EnvironmentRecord(**{**content, **lists}))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return environment if os.access(environment.python, os.X_OK) else None


def save(path: Path, record: EnvironmentRecord) -> Environment:
    """Mark an environment as finished: the record is written last."""
    atomic.write_text(path / RECORD, json.dumps(asdict(record), indent=2) + "\n")
    return Environment(path, record)


def environments() -> Iterator[Environment]:
    """Yield all environments, the most recently used first."""
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
    """Return the lock file of a key: it is locked while the environment is made or removed."""
    return cache_folder() / f".{key}.lock"


def use_of(key: str) -> Path:
    """Return the file on which jobs that use an environment hold a shared lock."""
    return cache_folder() / f".{key}.use"


def is_used(key: str) -> bool:
    """Whether a job runs in an environment now."""
    try:
        os.close(acquire(use_of(key), wait=False))
    except BlockingIOError:
        return True
    except OSError:  # a folder that cannot be written
        return False
    return False


def remove(environment: Environment) -> None:
    """Remove an environment; other processes see that at once.

    Raises:
        UsageError: a job runs in it.
        OSError: the file system refuses.
    """
    key = environment.record.key
    with hold(lock_of(key)):
        try:
            descriptor = acquire(use_of(key), wait=False)
        except BlockingIOError:
            raise UsageError(f"{key}: a job runs in this environment; remove it when the job has ended") from None
        try:
            discard(environment.path)
        finally:
            os.close(descriptor)


def limit() -> int | None:
    """Return how many bytes all environments may have together: BATCHTWIN_ENVIRONMENTS_MAX; None for no limit.

    Raises:
        UsageError: the variable is no size.
    """
    text = os.environ.get(MAXIMUM, "").strip() or DEFAULT_MAXIMUM
    if text.lower() == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text, re.IGNORECASE)
    if match is None:
        raise UsageError(f"{MAXIMUM}={text}: is no size; write it as 20g, 500m or none")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))


def make_room(exempt: Environment) -> Iterator[Environment]:
    """Remove the least recently used environments until the rest fits the limit; yield each.

    `exempt` stays, and so do environments that a job uses or that were used in the last minute.

    Raises:
        UsageError: the limit is no size.
    """
    maximum = limit()
    whole = list(environments()) if maximum is not None else []
    total = sum(environment.record.size for environment in whole)
    for environment in reversed(whole):
        if maximum is None or total <= maximum:
            return
        if environment.record.key == exempt.record.key or time.time() - environment.last_used < JUST_USED:
            continue
        with suppress(UsageError, OSError):
            remove(environment)
            total -= environment.record.size
            yield environment


def sweep() -> None:
    """Remove what killed builds left: no process holds the lock of such a folder."""
    folder = cache_folder()
    for path in folder.iterdir() if folder.is_dir() else ():
        match = LEFT_OVER.fullmatch(path.name)
        if match is None or (match["whole"] and load(path) is not None):
            continue
        with suppress(OSError):  # BlockingIOError among them: it is being made
            descriptor = acquire(lock_of(match["key"]), wait=False)
            try:
                if not match["whole"] or load(path) is None:
                    discard(path)
            finally:
                os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a folder of the cache, atomically. The caller holds its lock.

    Raises:
        OSError: the file system refuses.
    """
    name = path.name.lstrip(".").partition(".")[0]
    gone = path.with_name(f".{name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if path != gone and path.exists():
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def unused(days: float) -> list[Environment]:
    """Return the environments that were not used for so many days."""
    return [environment for environment in environments() if time.time() - environment.last_used > days * DAY]


def versions(lock: str) -> set[str]:
    """Return the lines `name==version` of a lock."""
    return {line.strip() for line in lock.splitlines() if re.match(r"[\w.-]+==\S+$", line.strip())}


def size_of(path: Path) -> int:
    """Return the size of the files below a folder that have no other name, or share their blocks with a cache."""
    total = 0
    for at, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(at, name)).st_size
    return total
