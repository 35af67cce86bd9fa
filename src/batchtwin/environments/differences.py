"""How an environment differs from what a deployment requests, in sentences."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from batchtwin.environments.installed import Installed, installed_here
from batchtwin.environments.requested import RequestedEnvironment, as_specifier


def mismatches(requested: RequestedEnvironment, installed: Installed | None = None) -> list[str]:
    """Name each difference between what is requested and what is installed (here, by default); empty for none."""
    there = installed or installed_here()
    texts = [_python_mismatch(requested.python, there)] if requested.python else []
    texts += [_pip_mismatch(line, there) for line in requested.pip]
    texts += [_conda_mismatch(line, there) for line in requested.conda]
    return [f"{text} ({requested.source})" for text in texts if text]


def _python_mismatch(text: str, installed: Installed) -> str | None:
    """Only the minor version counts: a patch of Python keeps its promises."""
    match = re.search(r"(=+)\s*(\d+\.\d+)(?:\.\d+)*", text)
    version = re.sub(r"^(?:.*::)?python", "", text)
    if match:
        return _version_mismatch("python", f"=={match[2]}.*", installed.python)
    return _version_mismatch("python", as_specifier(version), installed.python)


def _pip_mismatch(line: str, installed: Installed) -> str | None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return f"'{line}' cannot be compared with what is installed"
    if requirement.marker and not requirement.marker.evaluate():
        return None
    version = installed.version(requirement.name)
    if version is None:
        return f"{requirement.name} is requested and not installed"
    if requirement.url:
        return f"{requirement.name} is requested from {requirement.url}; installed is {version}"
    return _version_mismatch(requirement.name, str(requirement.specifier), version)


def _conda_mismatch(text: str, installed: Installed) -> str | None:
    """A conda package is compared if a Python package of its name is installed; the rest is not Python's to know."""
    match = re.match(r"^(?:.*::)?([A-Za-z0-9_.-]+?)\s*([=<>!~].*)?$", text.strip())
    version = installed.version(match[1]) if match else None
    if match is None or version is None:
        return None
    return _version_mismatch(match[1], as_specifier(match[2] or ""), version)


def _version_mismatch(name: str, specifier: str, version: str) -> str | None:
    try:
        fits = SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return f"{name}{specifier} cannot be compared with the installed {version}"
    return None if fits else f"{name} {version} is installed, {specifier} is requested"
