"""What a deployment asks of its Python environment, and how the installed one differs."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from batchtwin.deployment.schema import Deployment, InlineEnvironment
from batchtwin.errors import BatchTwinError


class AskedEnvironmentError(BatchTwinError):
    """A conda file that cannot be read, or, on request, an environment that differs from what was asked."""


@dataclass(frozen=True)
class Asked:
    """Requirements, each as pip or conda writes it, and the file that they come from."""

    source: str
    python: str | None
    pip: tuple[str, ...]
    conda: tuple[str, ...]


def asked_environment(deployment: Deployment, folder: Path, model: Path) -> Asked | None:
    """Return what the deployment's conda file asks for, else the MLflow model's own requirements [A]; None if neither.

    `folder` is the YAML's, `model` the model's path.

    Raises:
        AskedEnvironmentError: a conda file is missing or is none.
    """
    environment = deployment.environment
    if isinstance(environment, InlineEnvironment) and environment.conda_file is not None:
        conda = environment.conda_file
        if isinstance(conda, dict):
            return _from_conda(conda, "environment.conda_file")
        return read_conda(folder / conda)
    if environment is None and (model / "requirements.txt").is_file():
        lines = (model / "requirements.txt").read_text(encoding="utf-8").splitlines()
        return Asked(str(model / "requirements.txt"), None, tuple(_requirement_lines(lines)), ())
    return None


def read_conda(path: Path) -> Asked:
    """Read a conda environment file.

    Raises:
        AskedEnvironmentError: it is missing, or has no list of dependencies.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AskedEnvironmentError(
            f"{path}: no such conda file; see environment.conda_file in the deployment"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AskedEnvironmentError(f"{path}: cannot be read: {error}") from None
    return _from_conda(content, str(path))


def _from_conda(content: Any, source: str) -> Asked:
    entries = content.get("dependencies") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise AskedEnvironmentError(f"{source}: dependencies: missing or no list; this is not a conda environment file")
    texts = [entry for entry in entries if isinstance(entry, str)]
    python = next((text for text in texts if re.match(r"python\b(?![-_])", text)), None)
    pip = [line for entry in entries if isinstance(entry, dict) for line in entry.get("pip") or []]
    conda = tuple(text for text in texts if text != python and not re.match(r"pip\b", text))
    return Asked(source, python, tuple(_requirement_lines(map(str, pip))), conda)


def _requirement_lines(lines: Iterable[str]) -> Iterator[str]:
    """Drop comments, empty lines and pip's options."""
    for line in lines:
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if text and not text.startswith("-"):
            yield text


def differences(asked: Asked) -> list[str]:
    """Name each difference between what is asked and what this interpreter has; empty if there is none."""
    found = [_python_difference(asked.python)] if asked.python else []
    found += [_pip_difference(line) for line in asked.pip]
    found += [_conda_difference(line) for line in asked.conda]
    return [f"{text} ({asked.source})" for text in found if text]


def _python_difference(text: str) -> str | None:
    version = text.removeprefix("python").split("::")[-1]
    return _version_difference("python", _as_specifier(version), platform.python_version())


def _pip_difference(line: str) -> str | None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return f"'{line}' cannot be compared with what is installed"
    if requirement.marker and not requirement.marker.evaluate():
        return None
    installed = _installed(requirement.name)
    if installed is None:
        return f"{requirement.name} is asked for and not installed"
    if requirement.url:
        return f"{requirement.name} is asked for from {requirement.url}; installed is {installed}"
    return _version_difference(requirement.name, str(requirement.specifier), installed)


def _conda_difference(text: str) -> str | None:
    """A conda package is compared if a Python package of its name is installed; the rest is not Python's to know."""
    match = re.match(r"^(?:.*::)?([A-Za-z0-9_.-]+?)\s*([=<>!~].*)?$", text.strip())
    installed = _installed(match[1]) if match else None
    if match is None or installed is None:
        return None
    return _version_difference(match[1], _as_specifier(match[2] or ""), installed)


def _as_specifier(conda: str) -> str:
    """conda's `=1.2` (any 1.2.x) and `=1.2=build` as PEP 440 has them; other operators are the same."""
    text = conda.strip()
    if not re.match(r"^=[^=]", text):
        return text
    version = text[1:].split("=")[0].removesuffix(".*").removesuffix("*")
    return f"=={version}.*"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _version_difference(name: str, specifier: str, installed: str) -> str | None:
    try:
        fits = SpecifierSet(specifier).contains(installed, prereleases=True)
    except InvalidSpecifier:
        return f"{name}{specifier} cannot be compared with the installed {installed}"
    return None if fits else f"{name} {installed} is installed, {specifier} is asked for"
