"""The files of a job on this machine, and which of them have changed. They are polled.

Polling needs no package and works on every file system; notifications do not come from network file systems.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from batchtwin.deployment.reference import is_reference
from batchtwin.deployment.schema import Deployment, InlineEnvironment, InlineModel
from batchtwin.engine.prepare import Request
from batchtwin.environments import pip_lines
from batchtwin.environments.named import FILE
from batchtwin.environments.requested import parse_conda, read_conda
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.location import is_url
from batchtwin.inputs.plan import files_below

# Time of change, size and inode: an editor that writes a new file and renames it may keep time and size.
Stamp = tuple[int, int, int]
Snapshot = dict[str, Stamp]
# Polling takes at most a tenth of the time.
LEAST_SECONDS, SHARE = 0.25, 10
# Editors write a file in several steps: wait until nothing has changed for so long, but no longer than this.
QUIET_SECONDS, LONGEST_SECONDS = 0.2, 10.0
# A file that changes in so many runs in a row is written by the job.
RUNS = 3


class WatchedFiles:
    """The files of a deployment and its input, at first `paths`. `without` is a folder whose files do not count."""

    def __init__(self, without: Path, paths: Iterable[Path]) -> None:
        self._without = str(without.resolve()) + os.sep
        self._paths = dict.fromkeys(map(os.path.realpath, paths))
        self._written: Counter[str] = Counter()
        self.seconds = LEAST_SECONDS

    def follow(self, request: Request) -> None:
        """Watch the files of a request; those that its YAML named earlier too, while the YAML cannot be read."""
        paths = list(_named_by_options(request))
        with suppress(BatchTwinError, OSError):
            paths += _named_by_yaml(request)
            self._paths = {}
        self._paths.update(dict.fromkeys(map(os.path.realpath, paths)))

    def snapshot(self) -> Snapshot:
        """Return the stamps of all files that exist."""
        began = time.monotonic()
        stamps = dict(self._stamps())
        self.seconds = max(LEAST_SECONDS, SHARE * (time.monotonic() - began))
        return stamps

    def settled(self) -> Snapshot:
        """Return the stamps once the files are stable."""
        until = time.monotonic() + LONGEST_SECONDS
        before = self.snapshot()
        while time.monotonic() < until:
            time.sleep(QUIET_SECONDS)
            now = self.snapshot()
            if now == before:
                break
            before = now
        return before

    def after_run(self, before: Snapshot) -> tuple[Snapshot, list[str]]:
        """Separate users' changes during a run, which cause another one, from what the run itself writes.

        A file, or a folder whose files come and go, that has changed in `RUNS` runs in a row is written by them.
        Changes while no job runs always count.

        Returns: `before`, with the present stamps of what the run has written; the names that are new among these.
        """
        now = self.snapshot()
        places = {path: _places(path, before, now) for path in changes(before, now)}
        self._written = Counter({place: self._written[place] + 1 for place in set().union(*places.values())})
        written = {path for path in places if any(self._written[place] >= RUNS for place in places[path])}
        others = {path: stamp for path, stamp in before.items() if path not in written}
        return others | {path: now[path] for path in written & now.keys()}, sorted(
            place for place, runs in self._written.items() if runs == RUNS
        )

    def _stamps(self) -> Iterator[tuple[str, Stamp]]:
        for top in self._paths:
            # A file that disappears during the look does not exist.
            with suppress(OSError):
                for name, path in files_below(Path(top)):
                    if self._counts(name, path):
                        with suppress(OSError):
                            info = os.stat(path)
                            yield path, (info.st_mtime_ns, info.st_size, info.st_ino)

    def _counts(self, name: str, path: str) -> bool:
        """Whether a file counts: hidden files and backups are an editor's, unless the file itself is named."""
        parts = name.split(os.sep)
        is_editors = name != "." and (any(part.startswith(".") for part in parts) or name.endswith("~"))
        return not is_editors and not path.startswith(self._without)


def changes(before: Snapshot, now: Snapshot) -> list[str]:
    """Return the files that were changed, added or removed, sorted."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


def _places(path: str, before: Snapshot, now: Snapshot) -> set[str]:
    """Return the places by which a change is known in the next run: new files have new names, their folder stays."""
    return {path} if path in before and path in now else {path, os.path.dirname(path)}


def short_names(paths: Collection[str], most: int = 3) -> str:
    """Return files for people, relative to the working folder."""
    cwd = os.getcwd()
    short = [os.path.relpath(path, cwd) if path.startswith(cwd + os.sep) else path for path in paths]
    more = f" and {len(short) - most} more" if len(short) > most else ""
    return ", ".join(short[:most]) + more


def _named_by_options(request: Request) -> Iterator[str]:
    yield str(request.deployment)
    yield from (str(path) for path in (request.input, request.model) if path is not None and not is_url(path))


def _named_by_yaml(request: Request) -> list[str]:
    """Return the paths in the deployment, whether they exist or not.

    Raises:
        BatchTwinError: the YAML cannot be read.
    """
    deployment = Deployment.load(request.deployment, request.overrides)
    code, model, environment = deployment.code_configuration, deployment.model, deployment.environment
    texts: list[object] = [FILE, code and code.code]
    if isinstance(model, InlineModel) and request.model is None:
        texts.append(model.path)
    if isinstance(environment, InlineEnvironment):
        texts += [environment.conda_file, environment.build and environment.build.path]
    folder = request.deployment.absolute().parent
    texts += map(str, _named_by_conda_file(environment, folder))
    return [str(folder / text) for text in texts if isinstance(text, str) and not (is_reference(text) or "://" in text)]


def _named_by_conda_file(environment: object, folder: Path) -> list[Path]:
    """Return the files that lines of the deployment's conda file name, as `-r requirements.txt`."""
    conda = environment.conda_file if isinstance(environment, InlineEnvironment) else None
    if conda is None:
        return []
    # An invalid file is watched itself, until it can be read.
    with suppress(BatchTwinError):
        requested = parse_conda(conda, "", folder) if isinstance(conda, dict) else read_conda(folder / conda)
        return list(pip_lines.local_files((*requested.options, *requested.pip), requested.folder))
    return []
