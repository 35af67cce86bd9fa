"""The file stores of workers, read: only regular files, only as much as a run can show. No MLflow here.

A script may still write to them, and a script in a container may be hostile: names, sizes and links are not trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from batchtwin import safe_open
from batchtwin.engine.tracking.datasets import MOST, DatasetUse, uses_of
from batchtwin_node.codec import value_object
from batchtwin_node.script.tracking import FOLDER

# Limits of one job. MLflow takes 6,000 characters in a value and 250 in a key.
MOST_POINTS, MOST_ENTRIES, MOST_ARTIFACTS = 1_000_000, 20_000, 10_000
# Limit for all artifacts of a job. A sparse file may be larger than any disk.
MOST_BYTES = 4 << 30
LONGEST_KEY, LONGEST_VALUE = 250, 6000
BLOCK = 4 << 20
# MLflow's own tags, except the description.
OWN_TAGS, DESCRIPTION = "mlflow.", "mlflow.note.content"


class TooLargeError(Exception):
    """An artifact over the limit; the text is its path in the run."""


@value_object
class Point:
    """A value of a metric. `timestamp` is in milliseconds since the epoch."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class Logged:
    """What scripts have logged. `left_out` counts what is over a limit, and parameters with two values."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    left_out: int = 0


@value_object
class Artifact:
    """A file that a script logged, and its path in the run."""

    file: Path
    path: str


class LogReader:
    """Reads what run number `number` of a job has logged, bit by bit. `logs` is the job's log folder."""

    def __init__(self, logs: Path, number: int) -> None:
        self.folder = logs / "user" / FOLDER
        self._root = logs.parent
        self._prefix = f"run{number}-"
        self._offsets: dict[Path, int] = {}
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.metrics: set[str] = set()
        self.points = self.left_out = 0

    def is_empty(self) -> bool:
        """Whether nothing was logged."""
        kinds = ("params", "metrics", "tags", "artifacts")
        return not any(True for kind in kinds for _ in self._files(kind)) and not self._models() and not self.datasets()

    def take(self) -> Logged:
        """Return what is new since the last call."""
        new = Logged()
        self._values("params", self.params, new.params, new)
        self._values("tags", self.tags, new.tags, new)
        for key, path in self._files("metrics"):
            if self.points + len(new.points) >= MOST_POINTS:
                new.left_out += 1
                break
            new.points += self._new_points(key, path)
        self.points += len(new.points)
        self.left_out += new.left_out
        return new

    def artifacts(self) -> list[Artifact]:
        """Return the files that were logged; of two with one path the first."""
        artifacts: dict[str, Artifact] = {}
        for path, file in self._files("artifacts"):
            artifacts.setdefault(path, Artifact(file, path))
        for model, folder in self._models():
            for file in _walk(folder):
                path = f"{model}/{file.relative_to(folder).as_posix()}"
                artifacts.setdefault(path, Artifact(file, path))
        return list(artifacts.values())[:MOST_ARTIFACTS]

    def datasets(self) -> list[DatasetUse]:
        """Return the datasets that were logged as inputs, each use once."""
        uses: dict[DatasetUse, None] = {}
        for store in self._stores():
            for experiment in _folders(store):
                for run in _folders(experiment):
                    uses |= dict.fromkeys(uses_of(experiment, run, self._root))
        return list(uses)[:MOST]

    def copy(self, artifact: Artifact, target: Path, most: int = MOST_BYTES) -> int:
        """Copy an artifact to a new file, a block at a time; return its size.

        Raises:
            TooLargeError: it has more than `most` bytes; there is no new file then.
            OSError: it cannot be read, or is a link; or the new file cannot be written.
        """
        with safe_open.open_file(artifact.file, "rb", self._root) as source:
            size = os.fstat(source.fileno()).st_size
            if size > most:
                raise TooLargeError(artifact.path)
            with target.open("xb") as sink:
                size = 0
                while size <= most and (block := source.read(BLOCK)):
                    sink.write(block)
                    size += len(block)
        if size > most:  # the file grows
            target.unlink()
            raise TooLargeError(artifact.path)
        return size

    def remove(self) -> None:
        """Remove the stores of this run. What the file system refuses to remove stays."""
        for store in self._stores():
            safe_open.remove(store, self._root, ignore_errors=True)
        try:
            self.folder.rmdir()
        except OSError:  # another run's stores are there
            pass

    def _values(self, kind: str, known: dict[str, str], new: dict[str, str], logged: Logged) -> None:
        for key, path in self._files(kind):
            if kind == "tags" and key.startswith(OWN_TAGS) and key != DESCRIPTION:
                continue
            if path in self._offsets or len(known) >= MOST_ENTRIES:
                continue
            text = self._text(path)
            if text is None:
                continue
            self._offsets[path] = 0
            if known.setdefault(key, text) != text:
                logged.left_out += 1
            else:
                new[key] = text

    def _text(self, path: Path) -> str | None:
        try:
            with safe_open.open_file(path, "rb", self._root) as stream:
                return stream.read(4 * LONGEST_VALUE).decode("utf-8", "replace")[:LONGEST_VALUE]
        except OSError:
            return None

    def _new_points(self, key: str, path: Path) -> Iterator[Point]:
        try:
            with safe_open.open_file(path, "rb", self._root) as stream:
                stream.seek(self._offsets.get(path, 0))
                block = stream.read(BLOCK)
        except OSError:
            return
        whole = block.rfind(b"\n") + 1
        self._offsets[path] = self._offsets.get(path, 0) + whole
        for line in block[:whole].splitlines():
            point = _point(key, line)
            if point is not None:
                self.metrics.add(key)
                yield point

    def _files(self, kind: str) -> Iterator[tuple[str, Path]]:
        """Yield the path below `kind`, with `/`, of each file of each run, and the file."""
        for store in self._stores():
            for experiment in _folders(store):
                for run in _folders(experiment):
                    folder = run / kind
                    for file in _walk(folder):
                        key = file.relative_to(folder).as_posix()
                        if kind == "artifacts" or len(key) <= LONGEST_KEY:
                            yield key, file

    def _models(self) -> list[tuple[str, Path]]:
        """Return the models that MLflow 3 keeps beside the runs: a name, and the folder."""
        folders = []
        for store in self._stores():
            for experiment in _folders(store):
                for model in _folders(experiment / "models"):
                    if next(_walk(model / "artifacts"), None) is not None:
                        folders.append((f"models/{model.name}", model / "artifacts"))
        return folders

    def _stores(self) -> list[Path]:
        return [store for store in _folders(self.folder) if store.name.startswith(self._prefix)]


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, without links and hidden ones."""
    try:
        with os.scandir(folder) as entries:
            inner = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(folder / entry.name for entry in inner if not entry.name.startswith("."))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, in order of their paths. No link is followed."""
    if folder.is_symlink():
        return
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(at, name)
            if not file.is_symlink() and file.is_file():
                yield file


def _point(key: str, line: bytes) -> Point | None:
    """Read `TIMESTAMP VALUE [STEP ...]`, as every MLflow since 1.0 writes it."""
    words = line.split()
    try:
        return Point(key, float(words[1]), int(words[0]), int(words[2]) if len(words) > 2 else 0)
    except (ValueError, IndexError):
        return None
