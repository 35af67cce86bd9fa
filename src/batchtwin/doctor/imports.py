"""What a scoring script imports, against the environment that it will run in."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from batchtwin.doctor.checks import Check
from batchtwin.engine.prepare import Resolved
from batchtwin.engine.preview import missing_imports
from batchtwin.environments.installed import missing_modules
from batchtwin.environments.named import Registered
from batchtwin.environments.placement import Placement
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin_node.script.imports import Import, top_imports

# Beside the script at run time, whatever the environment has.
PROVIDED = {"azureml_user", "batchtwin_node"}
# Module -> distribution, where the names differ.
DISTRIBUTIONS = {
    "azureml": "azureml-core",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def third_party(folder: str, script: str) -> list[Import]:
    """Return the imports of packages, the first of each: neither of the standard library nor of the code folder."""
    first: dict[str, Import] = {}
    for entry in top_imports(Path(folder), script):
        if top(entry) not in sys.stdlib_module_names and top(entry) not in PROVIDED:
            first.setdefault(top(entry), entry)
    return list(first.values())


def top(entry: Import) -> str:
    """Return the package: `a` of `a.b`."""
    return entry.name.partition(".")[0]


def against_environment(resolved: Resolved, placement: Placement, registered: Registered) -> Iterator[Check]:
    """Check the imports of the script against an environment that is there; of the MLflow driver without one."""
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
    """Check imports against lines that nothing is installed of yet: a dependency may bring what no line names."""
    lines = {line.name for line in requested.expanded()} | {
        canonicalize_name(text.split("=")[0].split("::")[-1].strip()) for text in requested.conda
    }
    unnamed = [entry for entry in imports if not _is_named(top(entry), lines)]
    for entry in unnamed:
        text = f"{entry.file}:{entry.line}: imports {top(entry)}, which no line of {requested.source} names"
        mend = f"add {distribution(top(entry))}, unless another package brings it"
        yield Check("imports", "note", text, mend)
    if not unnamed:
        yield Check("imports", "ok", f"{', '.join(top(entry) for entry in imports) or 'none'}: requested")


def _is_named(top: str, lines: Iterable[str]) -> bool:
    names = {canonicalize_name(top), canonicalize_name(distribution(top))}
    return any(line in names or line.startswith(f"{canonicalize_name(distribution(top))}-") for line in lines)


def distribution(top: str) -> str:
    """Return the package that has a module, as far as its name says so."""
    return DISTRIBUTIONS.get(top, top)
