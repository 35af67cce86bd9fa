"""The imports of a scoring script, compared with its environment."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from batchtwin.doctor.checks import Check
from batchtwin.engine.prepare import Resolved
from batchtwin.engine.preview import missing_imports
from batchtwin.environments.differences import DISTRIBUTIONS, is_listed, names_listed
from batchtwin.environments.installed import missing_modules
from batchtwin.environments.named import Registered
from batchtwin.environments.placement import Placement
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin_node.script.imports import Import, similar_module, top_imports

# Beside the script at run time in every environment.
PROVIDED = {"azureml_user", "batchtwin_node"}


def third_party(folder: str, script: str) -> list[Import]:
    """Return the imports of packages, the first of each: not the standard library, not the code folder."""
    first: dict[str, Import] = {}
    for entry in top_imports(Path(folder), script):
        if top(entry) not in sys.stdlib_module_names and top(entry) not in PROVIDED:
            first.setdefault(top(entry), entry)
    return list(first.values())


def top(entry: Import) -> str:
    """Return the package: `a` of `a.b`."""
    return entry.name.partition(".")[0]


def against_environment(resolved: Resolved, placement: Placement, registered: Registered) -> Iterator[Check]:
    """Check the imports of the script against an existing environment; without one, those of the MLflow driver."""
    if resolved.script is None:
        if missing_modules(placement.python, ["mlflow"]):
            text = "the environment has no mlflow, which scores where no script does"
            yield Check("imports", "problem", text, "add mlflow to the environment (conda.yaml)")
        else:
            yield Check("imports", "ok", "mlflow: installed")
        return
    problems = missing_imports(resolved, placement, registered)
    for text in problems:
        yield Check("imports", "problem", text, "add the package to the environment (conda.yaml)")
    if not problems:
        names = ", ".join(map(top, third_party(*resolved.script)))
        yield Check("imports", "ok", f"{names}: installed" if names else "none but the standard library")


def against_request(imports: list[Import], requested: RequestedEnvironment) -> Iterator[Check]:
    """Check imports against lines that are not installed yet: a dependency may bring what no line names."""
    lines = set(names_listed(requested))
    unnamed = [entry for entry in imports if not is_listed(entry.name, requested) and not _is_part(top(entry), lines)]
    for entry in unnamed:
        text = f"{entry.file}:{entry.line}: imports {top(entry)}, which no line of {requested.source} names"
        yield Check("imports", "note", text, _fix(entry))
    if not unnamed:
        yield Check("imports", "ok", f"{', '.join(top(entry) for entry in imports) or 'none'}: requested")


def _is_part(top: str, lines: Iterable[str]) -> bool:
    """Whether a package's name begins like another's: google-cloud-storage brings a part of `google`."""
    start = canonicalize_name(DISTRIBUTIONS.get(top, top)) + "-"
    return any(line.startswith(start) for line in lines)


def _fix(entry: Import) -> str:
    near = similar_module(entry.file.parent, entry.name)
    if near:
        return f"did you mean {near}? Else add the package that brings {top(entry)}, unless another package does"
    package = DISTRIBUTIONS.get(top(entry), f"the package that brings {top(entry)}")
    return f"add {package}, unless another one brings it"
