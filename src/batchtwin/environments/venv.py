"""A venv for what a deployment requests, made once by uv; by conda where only conda can."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from batchtwin.environments import cache
from batchtwin.environments.cache import LOCK, Environment, Record
from batchtwin.environments.conda_specs import parse_spec
from batchtwin.environments.interpreters import find_python
from batchtwin.environments.pip_lines import PipLine
from batchtwin.environments.requested import MINORS, RequestedEnvironment
from batchtwin.environments.uv import OF_THE_KEY, UvError, explain, run, translate, uv, variables, without_credentials
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.plan import content_hash
from batchtwin.locks import hold

# MLflow 1.x and 2.9 import pkg_resources, which later versions of setuptools have not.
SEEDS = ("pip", "setuptools<81")
# The multi-GPU half of xgboost: some 400 MB that scoring never touches.
OVERRIDES = ("nvidia-nccl-cu12; sys_platform == 'never'", "nvidia-nccl-cu13; sys_platform == 'never'")
# Imported once after the build, so that the first job finds bytecode.
IMPORTS = (
    *("mlflow.pyfunc", "mlflow.sklearn", "mlflow.xgboost", "pandas", "numpy", "pyarrow.parquet", "sklearn.ensemble"),
    *("sklearn.pipeline", "sklearn.compose", "xgboost", "lightgbm", "catboost", "skops.io"),
)
WARM_UP = """\
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException:
        pass
"""
CONDAS = ("micromamba", "mamba", "conda")
REQUESTED = "requested.txt"
Note = Callable[[str], None]


class EnvironmentBuildError(BatchTwinError):
    """An environment that cannot be made."""


def environment_for(
    requested: RequestedEnvironment,
    *,
    python: str | None = None,
    allow_builds: bool = False,
    upgrade: bool = False,
    progress: Note = lambda _: None,
) -> Environment:
    """Return the environment of a request; make it if it is not there. Of many at once, one makes it.

    `python` is a minor version such as `3.8`, and goes before the requested one; where neither is named, this one's.
    `allow_builds` lets source packages run their code while they are built. `upgrade` resolves the lines again.
    `progress` tells a sentence to the person.

    Raises:
        NoPythonError: there is no such Python.
        EnvironmentBuildError: with uv's or conda's reason.
        RequirementsFileError: a file that a line names cannot be read.
    """
    return build(requested, requested.minor(python), progress, allow_builds=allow_builds, upgrade=upgrade)


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
    """A line, and the content of what it names; where that lies does not matter."""
    if line.path is None:
        return [without_credentials(line.text)]
    text = line.text.replace(line.path.as_uri(), line.path.name).replace(str(line.path), line.path.name)
    if line.option[0] == "--find-links":
        entries = [(path.name, path.stat().st_size) for path in line.path.glob("*") if path.is_file()]
        return [text, repr(sorted(entries))]
    return [text, content_hash(line.path) if line.path.exists() else ""]


def existing(requested: RequestedEnvironment, python: str) -> Environment | None:
    """Return the environment of a request, if it was made.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    return cache.load(cache.cache_folder() / key_of(requested, python))


def build(
    requested: RequestedEnvironment, python: str, note: Note, *, allow_builds: bool = False, upgrade: bool = False
) -> Environment:
    """Do what `environment_for` does, for a minor version of Python that is known.

    Raises:
        BatchTwinError: as of `environment_for`.
    """
    if python not in MINORS:
        raise EnvironmentBuildError(
            f"{requested.source}: Python {python}: deployments run under Python {MINORS[0]} to {MINORS[-1]}; "
            f"try another one: --python {MINORS[0]}"
        )
    key = key_of(requested, python)
    path = cache.cache_folder() / key
    cache.cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = None if upgrade else cache.load(path)
    if environment is None:
        with hold(cache.lock_of(key)):
            environment = None if upgrade else cache.load(path)
            if environment is None:
                environment = _Build(requested, python, path, note, allow_builds).make(key)
    environment.touch()
    return environment


class _Build:
    """One build. A venv is made beside its place and renamed; conda's holds its path, so its record comes last."""

    def __init__(
        self, requested: RequestedEnvironment, python: str, path: Path, note: Note, allow_builds: bool
    ) -> None:
        self._requested, self._python, self._path, self._note = requested, python, path, note
        self._allow_builds = allow_builds
        self._folder = path if requested.conda_only else path.with_name(f".{path.name}.new")
        self._lines = list(requested.expanded())
        options = [line.option for line in self._lines if line.kind == "option"]
        self._options, self._words, self._unknown = translate(options)
        self._check()

    def _check(self) -> None:
        """Refuse lines that are no requirements here, in the deployment's words: uv would name a file of ours."""
        for line in self._lines:
            text = ""
            if line.path is not None and not line.path.exists():
                text = f"'{line.written}': there is no {line.path}"
            elif line.kind == "requirement" and not (
                line.requirement or line.path or re.match(r"[a-z+]+://", line.text)
            ):
                text = f"'{line.written}' is no requirement; write NAME==VERSION, a URL or a path"
            if text:
                raise EnvironmentBuildError(f"{self._requested.source}: {text}")

    def make(self, key: str) -> Environment:
        requested = self._requested
        packages = [*(line.written for line in self._lines if line.kind == "requirement"), *requested.conda_only]
        self._note(
            f"Making the environment of this deployment (once): Python {self._python}, {len(packages)} requested "
            f"packages, as {requested.source} says"
        )
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            base = self._make_conda() if requested.conda_only else self._make_venv()
            left_out = (*self._install(), *self._unknown)
            self._finish()
        except BaseException as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            if isinstance(error, UvError):
                raise EnvironmentBuildError(self._reason(error)) from None
            raise
        lines = tuple(map(without_credentials, (*packages, *self._options, *self._words)))
        record = Record(
            key, requested.source, self._python, base, lines, left_out, time.time(), cache.size_of(self._folder)
        )
        return self._publish(record)

    def _publish(self, record: Record) -> Environment:
        cache.save(self._folder, record)
        if self._folder != self._path:
            cache.discard(self._path)
            self._folder.rename(self._path)
        return Environment(self._path, record)

    def _make_venv(self) -> str:
        base = find_python(self._python, self._note)
        # Console scripts of a relocatable venv find its Python after the folder was renamed.
        uv(["venv", "--quiet", "--no-project", "--relocatable", "--python", str(base), str(self._folder)])
        return str(base)

    def _make_conda(self) -> str:
        requested = self._requested
        program = next((path for name in CONDAS if (path := shutil.which(name))), None)
        if program is None:
            names = ", ".join(requested.conda_only)
            raise EnvironmentBuildError(
                f"{requested.source}: {names}: only conda can install this, and none of {', '.join(CONDAS)} is here; "
                "install one, use the names of PyPI below pip:, or run in an image: --env image:TAG"
            )
        channels = [word for name in requested.channels or ("conda-forge",) for word in ("--channel", name)]
        words = [program, "create", "--yes", "--quiet", "--prefix", str(self._folder), *channels]
        spec = parse_spec(requested.python or "")
        is_requested = spec is not None and self._python == requested.python_minor
        python = requested.python if is_requested and requested.python else f"python={self._python}"
        run([*words, python, "pip", *requested.conda_only])
        return program

    def _install(self) -> tuple[str, ...]:
        """Install the lines; `azureml-*` packages that do not go with the others are left out, nothing else."""
        azureml = [line for line in self._lines if line.name.startswith("azureml-") and line.kind == "requirement"]
        try:
            self._pip()
        except UvError as error:
            if not azureml or error.is_network:
                raise
            self._pip(azureml)
            return tuple(self._without_these(azureml))
        return ()

    def _without_these(self, azureml: Sequence[PipLine]) -> Iterator[str]:
        """Add the packages that go with what is installed, one by one; yield those that do not."""
        left_out = list(azureml)
        for line in azureml:
            rest = [other for other in left_out if other is not line]
            try:
                self._pip(rest)
                left_out = rest
            except UvError:
                self._note(f"Warning: environment: {line.written} cannot be installed with the others; it is left out")
        yield from (line.written for line in left_out)

    def _pip(self, without: Sequence[PipLine] = ()) -> None:
        """Install all lines but some, and what every environment has unless the lines say otherwise."""
        named = {line.name for line in self._lines}
        seeds = [seed for seed in SEEDS if re.split(r"[<=>]", seed)[0] not in named]
        if "--require-hashes" in self._options:
            seeds = []
        try:
            self._pip_install(without, seeds)
        except UvError as error:
            if "setuptools" not in str(error) or "setuptools" in named or not seeds:
                raise
            self._pip_install(without, [seed.split("<")[0] for seed in seeds])

    def _pip_install(self, without: Sequence[PipLine], seeds: Sequence[str]) -> None:
        lines = [line.text for line in self._lines if line.kind == "requirement" and line not in without]
        requirements, overrides = self._folder / REQUESTED, self._folder / "overrides.txt"
        requirements.write_text("\n".join([*seeds, *lines, *self._options]) + "\n", encoding="utf-8")
        overrides.write_text("\n".join(OVERRIDES) + "\n", encoding="utf-8")
        words = ["pip", "install", "--quiet", "--python", str(self._python_path), *self._words]
        words += [] if self._allow_builds else ["--no-build"]
        words += ["--requirement", str(requirements)]
        uv([*words, "--override", str(overrides)])
        if self._needs_nccl():
            uv(words)

    def _needs_nccl(self) -> bool:
        """Whether another package than xgboost needs the library that is left out: torch cannot be imported then."""
        for path in self._folder.glob("lib/python*/site-packages/*.dist-info/METADATA"):
            if not path.parent.name.startswith("xgboost-"):
                text = path.read_text(encoding="utf-8", errors="replace")
                if re.search(r"^Requires-Dist: nvidia-nccl-cu1[23]\b(?!.*\bextra\b)", text, re.MULTILINE):
                    return True
        return False

    @property
    def _python_path(self) -> Path:
        return self._folder / "bin/python"

    def _finish(self) -> None:
        """Keep the lock, and import what jobs will: the first import without bytecode takes three times as long."""
        lock = uv(["pip", "freeze", "--quiet", "--python", str(self._python_path)])
        (self._folder / LOCK).write_text(without_credentials(lock), encoding="utf-8")
        (self._folder / REQUESTED).unlink()  # indexes in there may have passwords
        subprocess.run(  # noqa: S603
            [str(self._python_path), "-I", "-W", "ignore", "-c", WARM_UP, *IMPORTS],
            env={**variables(), "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"},
            cwd=self._folder,
            capture_output=True,
            check=False,
        )

    def _reason(self, error: UvError) -> str:
        """The reason in the deployment's words: paths as its lines have them, and its own file for ours."""
        names = {str(self._folder / REQUESTED): self._requested.source}
        for line in self._lines:
            if line.path is not None:
                names |= {line.path.as_uri(): line.written, str(line.path): line.written}
        return explain(error, self._requested.source, names)
