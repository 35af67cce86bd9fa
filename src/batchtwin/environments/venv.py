"""A venv for the requested packages, made once by uv; by conda where only conda can."""

from __future__ import annotations

import hashlib
import json
import platform

from batchtwin.environments import cache
from batchtwin.environments.build import OVERRIDES, SEEDS, EnvironmentBuild, EnvironmentBuildError, Note
from batchtwin.environments.cache import Environment
from batchtwin.environments.pip_lines import PipLine, RequirementsFileError
from batchtwin.environments.requested import MINORS, RequestedEnvironment
from batchtwin.environments.uv import OF_THE_KEY, variables, without_credentials
from batchtwin.inputs.plan import content_hash
from batchtwin.locks import hold

__all__ = ["EnvironmentBuildError", "build", "check_python", "environment_for", "existing", "key_of"]


def environment_for(
    requested: RequestedEnvironment,
    *,
    python: str | None = None,
    allow_builds: bool = False,
    upgrade: bool = False,
    progress: Note = lambda _: None,
) -> Environment:
    """Return the environment of a request, and make it if it is missing. Of several processes, one makes it.

    `python` is a minor version such as `3.8`, and overrides the requested one; the default is this one's.
    `allow_builds` lets source packages run their code while they are built. `upgrade` resolves the lines again.
    `progress` takes sentences for the user.

    Raises:
        NoPythonError: there is no such Python.
        EnvironmentBuildError: with uv's or conda's reason.
        RequirementsFileError: a file that a line names cannot be read.
    """
    check_python(requested, python)
    return build(requested, requested.minor(python), progress, allow_builds=allow_builds, upgrade=upgrade)


def check_python(requested: RequestedEnvironment, override: str | None = None) -> None:
    """Check that deployments can run under the requested Python, or under `override`.

    Raises:
        EnvironmentBuildError: they cannot.
    """
    if override is None:
        problem = requested.python_problem
    else:
        is_known = requested.minor(override) in MINORS
        problem = None if is_known else f"--python {override}: deployments run under Python {MINORS[0]} to {MINORS[-1]}"
    if problem:
        raise EnvironmentBuildError(f"{problem}; try another one: --python {MINORS[0]}")


def key_of(requested: RequestedEnvironment, python: str) -> str:
    """Return the key of the environment for a request: its lines, what they refer to, indexes, Python, platform.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    settings = variables()
    parts = {
        "python": python,
        "lines": [*SEEDS, *OVERRIDES, *map(_identity, requested.expanded())],
        "conda": [*requested.conda_only, *requested.channels] if requested.conda_only else [],
        "indexes": [without_credentials(settings.get(name, "")) for name in OF_THE_KEY],
        "platform": [platform.system(), platform.machine(), platform.libc_ver()[0]],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def _identity(line: PipLine) -> list[str]:
    """Return a line, and the content of what it names, wherever that is."""
    try:
        return _identity_of(line)
    except OSError as error:
        raise RequirementsFileError(
            f"{line.path}: cannot be read: {error.strerror}; '{line.written}' names it"
        ) from None


def _identity_of(line: PipLine) -> list[str]:
    if line.path is None:
        return [without_credentials(line.text)]
    text = line.text.replace(line.path.as_uri(), line.path.name).replace(str(line.path), line.path.name)
    if line.option[0] == "--find-links":
        entries = [(path.name, path.stat().st_size) for path in line.path.glob("*") if path.is_file()]
        return [text, repr(sorted(entries))]
    is_content = line.path.is_file() or line.path.is_dir()  # anything else, such as a pipe, may never end
    return [text, content_hash(line.path) if is_content else ""]


def existing(requested: RequestedEnvironment, python: str) -> Environment | None:
    """Return the environment of a request, if it exists.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    return cache.load(cache.cache_folder() / key_of(requested, python))


def build(
    requested: RequestedEnvironment,
    python: str,
    note: Note,
    *,
    allow_builds: bool = False,
    upgrade: bool = False,
    lock: str = "",
) -> Environment:
    """Do what `environment_for` does, for a known minor version of Python.

    The environment gets the versions of `lock`, the lock of an environment of the same request.

    Raises:
        BatchTwinError: as in `environment_for`.
    """
    key = key_of(requested, python)
    environment = None if upgrade else cache.load(cache.cache_folder() / key)
    if environment is None:
        cache.limit()  # if the limit is invalid, nothing is made
        try:
            environment = _made(key, EnvironmentBuild(requested, python, key, note, allow_builds, lock), upgrade)
        except OSError as error:
            raise EnvironmentBuildError(_refused(error)) from None
        for removed in cache.make_room(environment):
            note(f"Removed the environment of {removed.record.source}: {cache.MAXIMUM} leaves no room for it")
    environment.touch()
    return environment


def _made(key: str, builder: EnvironmentBuild, upgrade: bool) -> Environment:
    """Make an environment, unless another process does so first."""
    folder = cache.cache_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    cache.sweep()
    with hold(cache.lock_of(key)):
        environment = None if upgrade else cache.load(folder / key)
        return environment or builder.make()


def _refused(error: OSError) -> str:
    """Return the file system's error, with advice."""
    path = error.filename or cache.cache_folder()
    return (
        f"{path}: {error.strerror}: no environment can be made there; make room or give the right to write, choose "
        f"another folder ({cache.FOLDER}), or run elsewhere: --env PATH"
    )
