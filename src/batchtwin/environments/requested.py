"""What a deployment asks of its Python environment, and the file that says so. One parser for conda files.

The order is the service's [A]: the YAML's `environment`; else, for an MLflow model, its conda.yaml, else
requirements.txt with python_env.yaml, else what MLmodel says of Python and of the library that made the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from batchtwin.deployment.schema import Deployment, InlineEnvironment
from batchtwin.errors import BatchTwinError

# Flavors of MLflow: the distribution that made the model, and the key that has its version.
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
# conda packages whose name on PyPI is obvious.
ON_PYPI = {
    **{name: name for name in ("catboost", "cloudpickle", "joblib", "lightgbm", "matplotlib", "mlflow", "numpy")},
    **{name: name for name in ("onnx", "onnxruntime", "pandas", "pillow", "psutil", "pyarrow", "pyyaml", "requests")},
    **{name: name for name in ("scikit-learn", "scipy", "skops", "spacy", "statsmodels", "xgboost", "setuptools")},
    **{name: name for name in ("azureml-core", "azureml-defaults", "azureml-mlflow", "python-dateutil", "wheel")},
    **{"py-xgboost": "xgboost", "py-xgboost-cpu": "xgboost", "pytorch": "torch", "mlflow-skinny": "mlflow-skinny"},
}


class RequestedEnvironmentError(BatchTwinError):
    """A conda file that cannot be read, or, on request, an environment that differs from what was requested."""


@dataclass(frozen=True)
class RequestedEnvironment:
    """Requirements as pip and conda write them, and the file, `source`, that they come from.

    `python` is as conda has it (`python=3.8.5`), None where nothing is said. `options` are lines of pip that are no
    requirements (`-r x`, `--find-links y`, `-e .`); relative paths in all lines start from `folder`.
    """

    source: str
    python: str | None = None
    pip: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path, compare=False)

    @property
    def python_minor(self) -> str | None:
        """`3.8` for `python=3.8.5`; None if no minor version is named."""
        match = re.search(r"(\d+\.\d+)", self.python or "")
        return match[1] if match else None

    @property
    def pip_lines(self) -> tuple[str, ...]:
        """The requirements for pip, conda packages with an obvious name on PyPI among them."""
        mapped = [(text, _on_pypi(text)) for text in self.conda]
        return (*(line for _, line in mapped if line), *self.pip)

    @property
    def conda_only(self) -> tuple[str, ...]:
        """The packages that only conda can give."""
        return tuple(text for text in self.conda if not _on_pypi(text))


def requested_environment(deployment: Deployment, folder: Path, model: Path) -> RequestedEnvironment | None:
    """Return what the deployment asks for; None if nothing here says it.

    `folder` is the YAML's, `model` the model's path.

    Raises:
        RequestedEnvironmentError: a conda file is missing or is none.
    """
    environment = deployment.environment
    if isinstance(environment, InlineEnvironment) and environment.conda_file is not None:
        conda = environment.conda_file
        if isinstance(conda, dict):
            return parse_conda(conda, "environment.conda_file", folder)
        return read_conda(folder / conda)
    return of_model(model) if environment is None else None


def of_model(model: Path) -> RequestedEnvironment | None:
    """Return what the files of an MLflow model ask for; None if it has none of them."""
    mlmodel = _yaml(model / "MLmodel")
    flavors = mlmodel.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    pyfunc = flavors.get("python_function")
    pyfunc = pyfunc if isinstance(pyfunc, dict) else {}
    env = pyfunc.get("env")
    named = env.get("conda") if isinstance(env, dict) else env
    conda = model / (named if isinstance(named, str) else "conda.yaml")
    if conda.is_file():
        return read_conda(conda)
    python = _yaml(model / "python_env.yaml").get("python") or pyfunc.get("python_version")
    text = f"python={python}" if python else None
    requirements = model / "requirements.txt"
    if requirements.is_file():
        lines = requirements.read_text(encoding="utf-8").splitlines()
        return _requested(str(requirements), text, lines, (), model)
    if not flavors:
        return None
    return RequestedEnvironment(str(model / "MLmodel"), text, tuple(_libraries(mlmodel, flavors)), folder=model)


def python_of_mlmodel(model: Path) -> str | None:
    """Return the minor version of Python that an MLmodel file names."""
    flavors = _yaml(model / "MLmodel").get("flavors")
    pyfunc = flavors.get("python_function") if isinstance(flavors, dict) else None
    match = re.match(r"\d+\.\d+", str(pyfunc.get("python_version"))) if isinstance(pyfunc, dict) else None
    return match[0] if match else None


def _libraries(mlmodel: dict[str, Any], flavors: dict[str, Any]) -> Iterable[str]:
    version = mlmodel.get("mlflow_version")
    yield f"mlflow=={version}" if version else "mlflow"
    for flavor, (distribution, key) in LIBRARIES.items():
        facts = flavors.get(flavor)
        if isinstance(facts, dict) and facts.get(key):
            yield f"{distribution}=={facts[key]}"


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
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
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestedEnvironmentError(f"{path}: cannot be read: {error}") from None
    return parse_conda(content, str(path), path.parent)


def parse_conda(content: Any, source: str, folder: Path) -> RequestedEnvironment:
    """Take the content of a conda environment file apart.

    Raises:
        RequestedEnvironmentError: it has no list of dependencies.
    """
    entries = content.get("dependencies") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise RequestedEnvironmentError(
            f"{source}: dependencies: missing or no list; this is not a conda environment file"
        )
    texts = [entry for entry in entries if isinstance(entry, str)]
    python = next((text for text in texts if re.match(r"(.*::)?python\b(?![-_])", text)), None)
    lines = [str(line) for entry in entries if isinstance(entry, dict) for line in entry.get("pip") or []]
    conda = tuple(text for text in texts if text != python and not re.match(r"(.*::)?pip\b(?![-_])", text))
    return _requested(source, python, lines, conda, folder)


def _requested(
    source: str, python: str | None, lines: Iterable[str], conda: tuple[str, ...], folder: Path
) -> RequestedEnvironment:
    texts = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in lines]
    pip = tuple(text for text in texts if text and not text.startswith("-"))
    options = tuple(text for text in texts if text.startswith("-"))
    return RequestedEnvironment(source, python, pip, conda, options, folder)


def _on_pypi(text: str) -> str | None:
    """A conda package as pip would write it, if its name there is obvious."""
    match = re.match(r"^(?:.*::)?([A-Za-z0-9_.-]+?)\s*([=<>!~].*)?$", text.strip())
    name = ON_PYPI.get(match[1].lower()) if match else None
    return f"{name}{as_specifier(match[2] or '')}" if match and name else None


def as_specifier(conda: str) -> str:
    """Return conda's `=1.2` (any 1.2.x) and `=1.2=build` as PEP 440 has them; other operators are the same."""
    text = conda.strip()
    if not re.match(r"^=[^=]", text):
        return text
    version = text[1:].split("=")[0].removesuffix(".*").removesuffix("*")
    return f"=={version}.*"
