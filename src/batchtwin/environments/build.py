"""One build of an environment: a venv by uv, or by conda where only conda can."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from batchtwin.environments import cache
from batchtwin.environments.cache import LOCK, Environment, EnvironmentRecord, versions
from batchtwin.environments.conda_specs import parse_spec
from batchtwin.environments.interpreters import find_python
from batchtwin.environments.pip_lines import PipLine
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin.environments.uv import UvError, explain_uv_error, run, translate, uv, variables, without_credentials
from batchtwin.errors import BatchTwinError
from batchtwin.locks import hold

# MLflow 1.x and 2.9 import pkg_resources, which later versions of setuptools lack.
SEEDS = ("pip", "setuptools<81")
# xgboost's library for several GPUs: some 400 MB that scoring never uses.
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


class EnvironmentBuild:
    """One build. A venv is renamed to its place. conda's contains its path, so that its record comes last."""

    def __init__(
        self,
        requested: RequestedEnvironment,
        python: str,
        key: str,
        note: Note,
        allow_builds: bool,
        lock: str = "",
    ) -> None:
        self._requested, self._python, self._key, self._note = requested, python, key, note
        self._allow_builds, self._lock = allow_builds, lock
        self._path = cache.cache_folder() / key
        self._folder = self._path if requested.conda_only else self._path.with_name(f".{key}.new")
        self._lines = list(requested.expanded())
        options = [line.option for line in self._lines if line.kind == "option"]
        self._options, self._words, self._unknown = translate(options)
        self._check()

    def _check(self) -> None:
        """Refuse invalid requirements in the deployment's words: uv would name a file of ours."""
        for line in self._lines:
            text = ""
            if line.path is not None and not (line.path.is_file() or line.path.is_dir()):
                text = f"'{line.written}': there is no file or folder {line.path}{self._requested.alone}"
            elif line.kind == "requirement" and not (
                line.requirement or line.path or re.match(r"[a-z+]+://", line.text)
            ):
                text = f"'{line.written}' is no requirement; write NAME==VERSION, a URL or a path"
            if text:
                raise EnvironmentBuildError(f"{self._requested.source}: {text}")

    def make(self) -> Environment:
        """Make it. The caller holds the lock of its key.

        Raises:
            EnvironmentBuildError: with uv's or conda's reason.
            NoPythonError: there is no such Python.
            OSError: the file system refuses.
        """
        requested = self._requested
        packages = requested.packages()
        self._note(
            f"Making the environment of this deployment (once): Python {self._python}, {len(packages)} requested "
            f"packages, as {requested.source} says"
        )
        if self._folder == self._path:
            self._replace()  # conda makes it at its final place
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
        record = EnvironmentRecord(
            self._key, requested.source, self._python, base, lines, left_out, time.time(), cache.size_of(self._folder)
        )
        return self._publish(record)

    def _publish(self, record: EnvironmentRecord) -> Environment:
        cache.save(self._folder, record)
        if self._folder != self._path:
            self._replace()
            self._folder.rename(self._path)
        return Environment(self._path, record)

    def _replace(self) -> None:
        """Remove the existing environment, after the jobs that run in it have ended."""
        if not self._path.exists():
            return
        use = cache.use_of(self._key)
        if cache.is_used(self._key):
            self._note("A job runs in the environment that is to be replaced; waiting for its end")
        with hold(use):
            cache.discard(self._path)

    def _make_venv(self) -> str:
        base = find_python(self._python, self._note)
        # The console scripts of a relocatable venv still find its Python after the rename.
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
        """Install the lines; only `azureml-*` packages that contradict the others are left out."""
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
        """Install the possible packages one by one; yield those that contradict what is installed."""
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
        """Install all lines except some, and what every environment has unless the lines say otherwise."""
        listed = {line.name for line in self._lines}
        seeds = [seed for seed in SEEDS if re.split(r"[<=>]", seed)[0] not in listed]
        if "--require-hashes" in self._options:
            seeds = []
        try:
            self._pip_install(without, seeds)
        except UvError as error:
            if "setuptools" not in str(error) or "setuptools" in listed or not seeds:
                raise
            self._pip_install(without, [seed.split("<")[0] for seed in seeds])

    def _pip_install(self, without: Sequence[PipLine], seeds: Sequence[str]) -> None:
        lines = [line.text for line in self._lines if line.kind == "requirement" and line not in without]
        requirements, overrides = self._folder / REQUESTED, self._folder / "overrides.txt"
        requirements.write_text("\n".join([*seeds, *lines, *self._options]) + "\n", encoding="utf-8")
        overrides.write_text("\n".join(OVERRIDES) + "\n", encoding="utf-8")
        words = ["pip", "install", "--quiet", "--python", str(self._python_path), *self._words]
        words += [] if self._allow_builds else ["--no-build"]
        if self._lock:
            constraints = self._folder / "constraints.txt"
            constraints.write_text("\n".join(sorted(versions(self._lock))) + "\n", encoding="utf-8")
            words += ["--constraint", str(constraints)]
        words += ["--requirement", str(requirements)]
        uv([*words, "--override", str(overrides)])
        if self._needs_nccl():
            uv(words)

    def _needs_nccl(self) -> bool:
        """Whether a package other than xgboost needs the library that is left out: torch cannot be imported without."""
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
        """Write the lock, and import what jobs import: the first import without bytecode takes three times as long."""
        lock = uv(["pip", "freeze", "--quiet", "--python", str(self._python_path)])
        (self._folder / LOCK).write_text(without_credentials(lock), encoding="utf-8")
        (self._folder / REQUESTED).unlink()  # URLs of indexes may hold passwords
        subprocess.run(  # noqa: S603
            [str(self._python_path), "-I", "-W", "ignore", "-c", WARM_UP, *IMPORTS],
            env={**variables(), "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"},
            cwd=self._folder,
            capture_output=True,
            check=False,
        )

    def _reason(self, error: UvError) -> str:
        """Return the reason in the deployment's words: its own lines and file, instead of paths of ours."""
        names = {str(self._folder / REQUESTED): self._requested.source}
        for line in self._lines:
            if line.path is not None:
                names |= {line.path.as_uri(): line.written, str(line.path): line.written}
        return explain_uv_error(error, self._requested.source, names)
