"""The Python environment that a deployment requests, and the file that defines it. The one parser of conda files.

The order is the service's [A]: the YAML's `environment`; else, for an MLflow model, its conda.yaml, else
requirements.txt with python_env.yaml, else what MLmodel says of Python and of the library that made the model.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from batchtwin.deployment.schema import Deployment, InlineEnvironment
from batchtwin.environments import pip_lines
from batchtwin.environments.conda_specs import minor_versions, parse_spec
from batchtwin.environments.pip_lines import PipLine, RequirementsFileError
from batchtwin.errors import BatchTwinError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The versions of Python for deployments, the latest last.
MINORS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
# Flavors of MLflow: the distribution that made the model, and the key of its version.
LIBRARIES = {
    "sklearn": ("scikit-learn", "sklearn_version"),
    "xgboost": ("xgboost", "xgb_version"),
    "lightgbm": ("lightgbm", "lgb_version"),
    "catboost": ("catboost", "catboost_version"),
    "statsmodels": ("statsmodels", "statsmodels_version"),
    "pytorch": ("torch", "pytorch_version"),
    "onnx": ("onnx", "onnx_version"),
    "spacy": ("spacy", "spacy_version"),
}


class RequestedEnvironmentError(BatchTwinError):
    """An invalid conda file, or, if the user requests that, an environment that differs from the requested one."""


@dataclass(frozen=True)
class RequestedEnvironment:
    """Requirements in the form of pip and conda, and `source`, the file that they come from.

    `python` is in conda's form (`python=3.8.5`), None if it is not named. `options` are lines of pip that are no
    requirements (`-r x`, `--find-links y`, `-e .`); relative paths in all lines start from `folder`. `channels` are
    those of the conda file. `image` is the image to build on, or to use. `saved_with` has the versions of the libraries
    that saved the model, as `scikit-learn==1.5.2`, and `saved_python` the version of Python, empty if unknown: the
    requested versions may differ from both.
    """

    source: str
    python: str | None = None
    pip: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path, compare=False)
    channels: tuple[str, ...] = field(default=(), compare=False)
    image: str | None = field(default=None, compare=False)
    saved_with: tuple[str, ...] = field(default=(), compare=False)
    saved_python: str = field(default="", compare=False)

    @property
    def python_minor(self) -> str | None:
        """`3.8` for `python=3.8.5`. For a range: this Python's version if it fits, else the latest that does.

        None if no minor version is named, or no known one fits the range.
        """
        if not self.python or not re.search(r"\d+\.\d+", self.python):
            return None
        spec = parse_spec(self.python)
        specifier = spec.specifier if spec else ""
        exact = re.match(r"^==(\d+\.\d+)(\.[\d*]\S*)?$", specifier)
        if exact:
            return exact[1]
        minors = minor_versions(specifier, MINORS)
        return HERE if HERE in minors else minors[-1] if minors else None

    @property
    def python_problem(self) -> str | None:
        """Why no known Python fits the request; None if one does, or any will do."""
        spec = parse_spec(self.python or "python")
        specifier = spec.specifier if spec else "?"
        if not specifier or minor_versions(specifier, MINORS):
            return None
        return f"{self.source}: '{self.python}': deployments run under Python {MINORS[0]} to {MINORS[-1]}"

    def minor(self, override: str | None = None) -> str:
        """Return the minor version of Python for its environment: `override` (`3.8`), the requested one, or ours."""
        match = re.fullmatch(r"(\d+\.\d+)(\.\w+)?", override or "")
        return (match[1] if match else override) or self.python_minor or HERE

    @property
    def pip_lines(self) -> tuple[str, ...]:
        """The requirements for pip, with conda packages whose name on PyPI is obvious."""
        return (*(line for text in self.conda if (line := _on_pypi(text))), *self.pip)

    @property
    def conda_only(self) -> tuple[str, ...]:
        """The packages that only conda has."""
        return tuple(text for text in self.conda if not _on_pypi(text))

    @property
    def local_lines(self) -> tuple[str, ...]:
        """The lines that name a file or folder of this machine: `-r x`, `-e .`, `./x.whl`."""
        return tuple(line for line in (*self.options, *self.pip) if pip_lines.path_in(line, self.folder))

    @property
    def alone(self) -> str:
        """Why a file that the deployment's conda file names may be missing."""
        reason = "a registered conda file, as in Azure ML, comes without the files that it names"
        return f"; {reason}: write packages by name and version" if self.image else ""

    def packages(self) -> list[str]:
        """Return the requested packages as they are written, with those of `-r` files; raises as `expanded` does."""
        return [*(line.written for line in self.expanded() if line.kind == "requirement"), *self.conda_only]

    def expanded(self) -> Iterator[PipLine]:
        """Yield all lines for pip, with absolute paths, and those of `-r` files in their place.

        Raises:
            RequirementsFileError: a file that a line names cannot be read.
        """
        try:
            yield from pip_lines.expand((*self.pip_lines, *self.options), self.folder)
        except RequirementsFileError as error:
            raise RequirementsFileError(f"{self.source}: {error}{self.alone}") from None


def requested_environment(deployment: Deployment, folder: Path, model: Path) -> RequestedEnvironment | None:
    """Return the requested environment; None if nothing here defines it.

    `folder` is the YAML's, `model` the model's path.

    Raises:
        RequestedEnvironmentError: a conda file is missing or invalid.
    """
    environment = deployment.environment
    if isinstance(environment, InlineEnvironment) and environment.conda_file is not None:
        conda = environment.conda_file
        if isinstance(conda, dict):
            requested = parse_conda(conda, "environment.conda_file", folder)
        else:
            requested = read_conda(folder / conda)
        return with_model(replace(requested, image=environment.image), model)
    return of_model(model) if environment is None else None


def of_model(model: Path) -> RequestedEnvironment | None:
    """Return the environment that the files of an MLflow model request; None if it has none of them.

    Raises:
        RequestedEnvironmentError: its conda.yaml is invalid.
        RequirementsFileError: its requirements.txt is no text.
    """
    mlmodel = _MLmodel(model)
    env = mlmodel.pyfunc.get("env")
    named = env.get("conda") if isinstance(env, dict) else env
    conda = model / (named if isinstance(named, str) else "conda.yaml")
    if conda.is_file():
        requested = read_conda(conda)
        python = mlmodel.pyfunc.get("python_version")
        if requested.python is None and python:
            requested = replace(requested, python=f"python={python}")
        return _with_saved(requested, mlmodel)
    python = _yaml(model / "python_env.yaml").get("python") or mlmodel.pyfunc.get("python_version")
    text = f"python={python}" if python else None
    requirements = model / "requirements.txt"
    if requirements.is_file():
        lines = pip_lines.read(requirements)
        return _with_saved(_requested(str(requirements), text, lines, (), model), mlmodel)
    if not mlmodel.flavors:
        return None
    lines = [f"mlflow=={mlmodel.mlflow}" if mlmodel.mlflow else "mlflow", *mlmodel.libraries]
    return _with_saved(RequestedEnvironment(str(mlmodel.path), text, tuple(lines), folder=model), mlmodel)


def with_model(requested: RequestedEnvironment, model: Path) -> RequestedEnvironment:
    """Add what saved the model, by its MLmodel file."""
    return _with_saved(requested, _MLmodel(model))


def _with_saved(requested: RequestedEnvironment, mlmodel: _MLmodel) -> RequestedEnvironment:
    python = str(mlmodel.pyfunc.get("python_version") or "")
    return replace(requested, saved_with=tuple(mlmodel.libraries), saved_python=python)


def python_of_mlmodel(model: Path) -> str | None:
    """Return the minor version of Python that an MLmodel file names."""
    match = re.match(r"\d+\.\d+", str(_MLmodel(model).pyfunc.get("python_version")))
    return match[0] if match else None


class _MLmodel:
    """An MLmodel file, empty if there is none."""

    def __init__(self, model: Path) -> None:
        self.path = model / "MLmodel"
        content = _yaml(self.path)
        self.mlflow = content.get("mlflow_version")
        flavors = content.get("flavors")
        self.flavors: dict[str, Any] = flavors if isinstance(flavors, dict) else {}
        pyfunc = self.flavors.get("python_function")
        self.pyfunc: dict[str, Any] = pyfunc if isinstance(pyfunc, dict) else {}

    @property
    def libraries(self) -> Iterator[str]:
        """The libraries that saved the model, as requirements."""
        for flavor, (distribution, key) in LIBRARIES.items():
            flavor_block = self.flavors.get(flavor)
            if isinstance(flavor_block, dict) and flavor_block.get(key):
                yield f"{distribution}=={flavor_block[key]}"


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_conda(path: Path) -> RequestedEnvironment:
    """Read a conda environment file.

    Raises:
        RequestedEnvironmentError: it is missing, or has no list of dependencies.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RequestedEnvironmentError(
            f"{path}: no such conda file; see environment.conda_file in the deployment"
        ) from None
    except RecursionError:
        raise RequestedEnvironmentError(f"{path}: cannot be read: lists in lists without end") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestedEnvironmentError(f"{path}: cannot be read: {error}") from None
    return parse_conda(content, str(path), path.parent)


def parse_conda(content: Any, source: str, folder: Path) -> RequestedEnvironment:
    """Parse the content of a conda environment file; relative paths in its lines start from `folder`.

    Raises:
        RequestedEnvironmentError: it has no list of dependencies.
    """
    entries = content.get("dependencies") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise RequestedEnvironmentError(
            f"{source}: dependencies: missing or no list; this is not a conda environment file"
        )
    texts = _texts([entry for entry in entries if not isinstance(entry, dict)], f"{source}: dependencies")
    names = {text: spec.name if (spec := parse_spec(text)) else "" for text in texts}
    pythons = [text for text in texts if names[text] == "python"]
    if len(pythons) > 1:
        raise RequestedEnvironmentError(f"{source}: dependencies: {', '.join(pythons)}: keep one of them")
    lines = [line for entry in entries if isinstance(entry, dict) for line in _pip_list(entry, source)]
    conda = tuple(text for text in texts if names[text] not in {"python", "pip"})
    channels = content.get("channels")
    channel_names = tuple(map(str, [channels] if isinstance(channels, str) else channels or ()))
    return replace(_requested(source, next(iter(pythons), None), lines, conda, folder), channels=channel_names)


def _pip_list(entry: dict[Any, Any], source: str) -> list[str]:
    unknown = next((key for key in entry if key != "pip"), None)
    if unknown is not None:
        raise RequestedEnvironmentError(f"{source}: dependencies: {unknown!r}: only pip has a list of its own")
    lines = entry.get("pip") or []
    if not isinstance(lines, list):
        raise RequestedEnvironmentError(f"{source}: dependencies: pip: {lines!r} is no list; write one line for each")
    return _texts(lines, f"{source}: dependencies: pip")


def _texts(entries: list[Any], key: str) -> list[str]:
    """Check that all entries are texts: entries of other types would be left out or misread."""
    for entry in entries:
        if not isinstance(entry, str):
            raise RequestedEnvironmentError(f"{key}: {str(entry)[:100]!r} is no text; write NAME or NAME=VERSION")
    return entries


def _requested(
    source: str, python: str | None, lines: Iterable[str], conda: tuple[str, ...], folder: Path
) -> RequestedEnvironment:
    texts = list(pip_lines.clean(lines))
    pip = tuple(text for text in texts if not text.startswith("-"))
    options = tuple(text for text in texts if text.startswith("-"))
    return RequestedEnvironment(source, python, pip, conda, options, folder)


def _on_pypi(text: str) -> str | None:
    """Return a conda package's requirement for pip, if its name on PyPI is obvious."""
    spec = parse_spec(text)
    return spec.on_pypi if spec else None
