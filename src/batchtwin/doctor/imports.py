"""What a scoring script imports, against the environment that it will run in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from packaging.utils import canonicalize_name

from batchtwin.doctor.answer import ask
from batchtwin.doctor.checks import Check
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin_node.script.imports import Import, imports_of

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
MISSING = """\
import json, sys
from importlib.util import find_spec
print(json.dumps([name for name in sys.argv[1:] if find_spec(name) is None]))
"""


def third_party(folder: str, script: str) -> list[Import]:
    """Return the imports of packages, the first of each: neither of the standard library nor of the code folder."""
    first: dict[str, Import] = {}
    for entry in imports_of(Path(folder), script):
        if entry.top not in sys.stdlib_module_names and entry.top not in PROVIDED:
            first.setdefault(entry.top, entry)
    return list(first.values())


def against_interpreter(imports: list[Import], python: Path | None) -> Iterator[Check]:
    """Check imports against an interpreter that is there; None is this one."""
    tops = [entry.top for entry in imports]
    if python is None:
        missing = {top for top in tops if find_spec(top) is None}
    else:
        answer = ask([str(python), "-I", "-c", MISSING, *tops])
        if not answer.ok:
            yield Check("imports", "note", f"{python} does not answer: {answer.first_line or answer.kind}")
            return
        missing = set(json.loads(answer.text.splitlines()[-1]))
    for entry in imports:
        if entry.top in missing:
            text = f"{_place(entry)}: imports {entry.top}, which the environment does not have"
            yield Check("imports", "problem", text, f"add {distribution(entry.top)} to the environment (conda.yaml)")
    if not missing:
        yield Check("imports", "ok", f"{', '.join(tops)}: installed" if tops else "none but the standard library")


def against_request(imports: list[Import], requested: RequestedEnvironment) -> Iterator[Check]:
    """Check imports against lines that nothing is installed of yet: a dependency may bring what no line names."""
    lines = {line.name for line in requested.expanded()} | {
        canonicalize_name(text.split("=")[0].split("::")[-1].strip()) for text in requested.conda
    }
    unnamed = [entry for entry in imports if not _is_named(entry.top, lines)]
    for entry in unnamed:
        text = f"{_place(entry)}: imports {entry.top}, which no line of {requested.source} names"
        mend = f"add {distribution(entry.top)}, unless another package brings it"
        yield Check("imports", "note", text, mend)
    if not unnamed:
        yield Check("imports", "ok", f"{', '.join(entry.top for entry in imports) or 'none'}: requested")


def _is_named(top: str, lines: Iterable[str]) -> bool:
    names = {canonicalize_name(top), canonicalize_name(distribution(top))}
    return any(line in names or line.startswith(f"{canonicalize_name(distribution(top))}-") for line in lines)


def _place(entry: Import) -> str:
    return f"{entry.path}:{entry.line}" if entry.line else str(entry.path)


def distribution(top: str) -> str:
    """Return the package that has a module, as far as its name says so."""
    return DISTRIBUTIONS.get(top, top)
