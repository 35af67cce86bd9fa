"""A venv for what a deployment requests, made once by uv; by conda where only conda can."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from batchtwin.environments.cache import LOCK, Environment, Record, cache_folder, load, save, size_of
from batchtwin.environments.interpreters import find_python
from batchtwin.environments.pip_config import OF_THE_KEY, uv_variables
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin.errors import BatchTwinError
from batchtwin.locks import hold

# MLflow 1.x and 2.9 import pkg_resources, which later versions of setuptools have not.
SEEDS = ("pip", "setuptools<81")
# The multi-GPU half of xgboost: some 400 MB that scoring never touches.
OVERRIDES = ("nvidia-nccl-cu12; sys_platform == 'never'", "nvidia-nccl-cu13; sys_platform == 'never'")
# Imported once after the build, so that the first job finds bytecode.
IMPORTS = ("mlflow.pyfunc", "pandas", "numpy", "pyarrow.parquet", "sklearn.ensemble", "xgboost", "lightgbm", "skops.io")
WARM_UP = (
    "import importlib, sys\nfor name in sys.argv[1:]:\n try: importlib.import_module(name)\n except Exception: pass"
)
# Options of pip that are followed by a path.
OPTION = r"^(-r|-c|-e|-f|--requirement|--constraint|--editable|--find-links)[ =]+"
LONGEST_PATH = 4096
CONDAS = ("micromamba", "mamba", "conda")
Note = Callable[[str], None]


class EnvironmentBuildError(BatchTwinError):
    """An environment that cannot be made."""


def key_of(requested: RequestedEnvironment, python: str) -> str:
    """Return the key of the environment for a request: its lines, what they refer to, indexes, Python, platform."""
    variables = {**uv_variables(os.environ), **os.environ}
    parts = {
        "python": python,
        "lines": [*SEEDS, *requested.pip_lines, *requested.options, *requested.conda_only],
        "files": {name: digest for name, digest in _files(requested)},
        "indexes": [variables.get(name, "") for name in OF_THE_KEY],
        "platform": [platform.system(), platform.machine(), platform.libc_ver()[0]],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def _files(requested: RequestedEnvironment) -> Iterator[tuple[str, str]]:
    """The files that lines refer to, with their content."""
    for line in (*requested.options, *requested.pip):
        name = re.sub(OPTION, "", line)
        path = requested.folder / name
        if len(name) < LONGEST_PATH and path.is_file():
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()


def _absolute(line: str, folder: Path) -> str:
    """A line whose path does not depend on where the file with the lines is."""
    match = re.match(OPTION, line)
    option, name = (match[0], line[match.end() :]) if match else ("", line)
    is_path = bool(match) or name.startswith((".", "/"))
    if is_path and len(name) < LONGEST_PATH and "://" not in name and (folder / name).exists():
        return f"{option}{(folder / name).resolve()}"
    return line


def existing(requested: RequestedEnvironment, python: str) -> Environment | None:
    """Return the environment of a request, if it was made."""
    return load(cache_folder() / key_of(requested, python))


def build(
    requested: RequestedEnvironment, python: str, note: Note, *, allow_builds: bool = False, upgrade: bool = False
) -> Environment:
    """Return the environment of a request; make it if it is not there. Of many at once, one makes it.

    `python` is a minor version such as `3.8`. `note` tells a sentence to the person.

    Raises:
        NoPythonError: there is no such Python.
        EnvironmentBuildError: with uv's reason.
    """
    key = key_of(requested, python)
    path = cache_folder() / key
    cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = None if upgrade else load(path)
    if environment is None:
        with hold(cache_folder() / f".{key}.lock"):
            environment = None if upgrade else load(path)
            if environment is None:
                environment = _Build(requested, python, path, note, allow_builds).make(key)
    environment.touch()
    return environment


class _Build:
    """One build, into its final folder: it counts as made once its record is written."""

    def __init__(
        self, requested: RequestedEnvironment, python: str, path: Path, note: Note, allow_builds: bool
    ) -> None:
        self._requested, self._python, self._path, self._note = requested, python, path, note
        self._allow_builds = allow_builds
        self._env = {**os.environ, **uv_variables(os.environ)}
        self._env.pop("VIRTUAL_ENV", None)

    def make(self, key: str) -> Environment:
        requested, path = self._requested, self._path
        shutil.rmtree(path, ignore_errors=True)
        count = len(requested.pip_lines) + len(requested.conda_only)
        self._note(
            f"Making the environment of this deployment (once): Python {self._python}, {count} requested packages, "
            f"as {requested.source} says"
        )
        try:
            base = self._make_conda() if requested.conda_only else self._make_venv()
            left_out = self._install()
            self._finish()
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        for line in left_out:
            self._note(f"Warning: environment: {line} cannot be installed with the other packages; it is left out")
        lines = (*requested.pip_lines, *requested.options, *requested.conda_only)
        record = Record(key, requested.source, self._python, base, lines, left_out, time.time(), size_of(path))
        return save(path, record)

    def _make_venv(self) -> str:
        base = find_python(self._python)
        self._uv(["venv", "--quiet", "--no-project", "--python", str(base), str(self._path)])
        return str(base)

    def _make_conda(self) -> str:
        program = next((found for name in CONDAS if (found := shutil.which(name))), None)
        names = ", ".join(self._requested.conda_only)
        if program is None:
            raise EnvironmentBuildError(
                f"{self._requested.source}: {names}: only conda can install this, and none of {', '.join(CONDAS)} is "
                "here; install one, use the names of PyPI below pip:, or run in an image: --env image:TAG"
            )
        channels = ["--channel", "conda-forge"]
        words = [program, "create", "--yes", "--quiet", "--prefix", str(self._path), *channels]
        self._run([*words, f"python={self._python}", "pip", *self._requested.conda_only], "conda")
        return program

    def _install(self) -> tuple[str, ...]:
        """Install the lines; `azureml-*` packages that do not go with the others are left out, nothing else."""
        lines = [*self._requested.pip_lines]
        try:
            self._pip(lines)
        except EnvironmentBuildError:
            rest = [line for line in lines if not re.match(r"azureml[-_]", line, re.IGNORECASE)]
            if rest == lines:
                raise
            self._pip(rest)
            return tuple(line for line in lines if line not in rest)
        return ()

    def _pip(self, lines: Sequence[str]) -> None:
        names = {re.split(r"[^A-Za-z0-9]", line, maxsplit=1)[0].lower() for line in lines}
        seeds = [seed for seed in SEEDS if re.split(r"[<=>]", seed)[0] not in names]
        requirements, overrides = self._path / "requested.txt", self._path / "overrides.txt"
        texts = [_absolute(line, self._requested.folder) for line in (*lines, *self._requested.options)]
        requirements.write_text("\n".join([*seeds, *texts]) + "\n", encoding="utf-8")
        overrides.write_text("\n".join(OVERRIDES) + "\n", encoding="utf-8")
        words = ["pip", "install", "--quiet", "--python", str(self._path / "bin/python"), "--link-mode", "hardlink"]
        words += ["--override", str(overrides), *([] if self._allow_builds else ["--no-build"])]
        self._uv([*words, "--requirement", str(requirements)])

    def _finish(self) -> None:
        """Keep the lock, and import what jobs will: the first import without bytecode takes three times as long."""
        python = str(self._path / "bin/python")
        (self._path / LOCK).write_text(self._uv(["pip", "freeze", "--quiet", "--python", python]), encoding="utf-8")
        subprocess.run(  # noqa: S603
            [python, "-W", "ignore", "-c", WARM_UP, *IMPORTS],
            env={**self._env, "PYTHONDONTWRITEBYTECODE": ""},
            cwd=self._path,
            capture_output=True,
            check=False,
        )

    def _uv(self, words: Sequence[str]) -> str:
        return self._run([sys.executable, "-m", "uv", *words], "uv")

    def _run(self, command: Sequence[str], name: str) -> str:
        folder = self._requested.folder if self._requested.folder.is_dir() else self._path.parent
        try:
            done = subprocess.run(  # noqa: S603
                command, env=self._env, cwd=folder, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise EnvironmentBuildError(f"{name}: {error.strerror}; install it: pip install uv") from None
        if done.returncode:
            raise EnvironmentBuildError(self._reason(done.stderr or done.stdout))
        return done.stdout

    def _reason(self, text: str) -> str:
        """uv's own words in one paragraph, in terms of the deployment's lines."""
        text = re.sub(r"://[^/@\s]+@", "://", text)  # credentials
        words = " ".join(re.sub(r"[\u00d7\u2570\u2500\u25b6\u251c\u2502]|hint:", " ", text).split())
        words = words.replace("your requirements", f"the lines of {self._requested.source}")
        advice = ""
        if re.search(r"no-build|building (from source|source distributions)", words, re.IGNORECASE):
            advice = "; a package has no wheel for this Python: --allow-builds builds it, which runs its code"
        elif re.search(r"dns|connect|network|offline|resolve host", words, re.IGNORECASE):
            advice = "; is the network there? --env here runs without"
        return f"{self._requested.source}: the environment cannot be made: {words[:2000]}{advice}"
