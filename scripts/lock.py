"""Compile the two locks from pyproject.toml and the pip section of environment/conda.yaml, or print a part of one.

    python scripts/lock.py                    compile; run by `make lock`
    python scripts/lock.py scoring            print what the image needs: the pip section, batchtwin, and what they need
    python scripts/lock.py hatchling          print what one package needs
    python scripts/lock.py image              write to build/image/ what docker/Dockerfile reads; run by `make image`

requirements.lock holds what using the project needs, tests/requirements.lock what tests, checks and benchmarks need
beyond that. Both are parts of one resolution. It is universal (every platform, Python 3.11 and later), carries hashes
and names no package index. The `# via` comments say who needs what: they are the graph that a part is taken from.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from batchtwin.environments.requested import read_conda

ROOT = Path(__file__).resolve().parent.parent
CONDA_FILE = Path("environment/conda.yaml")
PROJECT = Path("pyproject.toml")
LOCK = Path("requirements.lock")
DEV_LOCK = Path("tests/requirements.lock")
IMAGE_FOLDER = ROOT / "build/image"
# What using the project needs: extras of the package, and a dependency group.
EXTRAS, GROUPS = ("azure", "serve", "workspace"), ("project",)
DEV_EXTRAS, DEV_GROUPS = ("abfs", "gs", "ray", "s3", "uci"), ("dev",)
HEAD = "# Compiled by `make lock`: {}.\n"


class LockError(Exception):
    """What is asked for is not in the lock."""


@dataclass(frozen=True)
class Locked:
    """One entry of the lock: `pin` is `name==version` without extras, `text` its lines, `via` who needs it.

    `whole` is `text` with the comments that `via` was read from.
    """

    pin: str
    text: str
    via: frozenset[str]
    whole: str

    @property
    def name(self) -> str:
        """The package."""
        return self.pin.partition("==")[0]


def read_lock(text: str) -> Iterator[Locked]:
    """Read the entries; a package has several where Python versions or platforms need different ones."""
    for entry in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]:
        lines = entry.splitlines()
        comments = [line.strip(" #").removeprefix("via").strip() for line in lines if line.startswith("    #")]
        requirement = [line for line in lines if not line.startswith("    #")]
        pin = re.sub(r"\[.*?\]", "", requirement[0].split()[0])
        yield Locked(pin, "\n".join(requirement), frozenset(filter(None, comments)), entry)


def part(locked: Iterable[Locked], roots: Sequence[str]) -> list[Locked]:
    """Return what `roots` (requirements such as `rich>=13` or `pandas==3.1.1`) need, themselves included, in order.

    Raises:
        LockError: a root, or its exact pin, is not in the lock.
    """
    locked = list(locked)
    needs = defaultdict(set)
    for entry in locked:
        for parent in entry.via:
            needs[parent].add(entry.name)
    names = set(map(_name, roots))
    pins = {entry.pin for entry in locked} | {entry.name for entry in locked}
    if missing := [root for root in roots if (root if "==" in root else _name(root)) not in pins]:
        raise LockError(f"{', '.join(missing)}: not in {LOCK}; run `make lock`")
    todo = list(names)
    while todo:
        new = needs[todo.pop()] - names
        names |= new
        todo += new
    return [entry for entry in locked if entry.name in names]


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / PROJECT).read_text(encoding="utf-8"))


def scoring() -> list[str]:
    """Return what the image is asked to hold: the pip section, and what batchtwin itself needs to score."""
    # uv makes environments, which an image does not.
    needed = [line for line in _project()["project"]["dependencies"] if _name(line) != "uv"]
    return [*read_conda(ROOT / CONDA_FILE).pip, *needed]


def using() -> list[str]:
    """Return what requirements.lock is asked to hold: `scoring`, the extras that our commands use, and their tools."""
    project = _project()
    extras = [line for extra in EXTRAS for line in project["project"]["optional-dependencies"][extra]]
    return [
        *scoring(),
        *_project()["project"]["dependencies"],
        *extras,
        *(line for group in GROUPS for line in project["dependency-groups"][group]),
    ]


def compile_locks() -> int:
    """Write both locks; what is locked already keeps its version. Return uv's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.txt")
        locks = [ROOT / path for path in (LOCK, DEV_LOCK) if (ROOT / path).exists()]
        whole.write_text("".join(path.read_text(encoding="utf-8") for path in locks), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
            *("--generate-hashes", "--no-emit-index-url", "--no-strip-extras"),
            *(word for extra in EXTRAS + DEV_EXTRAS for word in ("--extra", extra)),
            *(word for group in GROUPS + DEV_GROUPS for word in ("--group", group)),
            *(str(PROJECT), "-", "--output-file", str(whole)),
        ]
        lines = "\n".join(read_conda(ROOT / CONDA_FILE).pip)
        done = subprocess.run(command, cwd=ROOT, input=lines, text=True, check=False)  # noqa: S603 - fixed words
        if done.returncode == 0:
            _split(whole.read_text(encoding="utf-8"))
        return done.returncode


def _split(compiled: str) -> None:
    entries = list(read_lock(compiled))
    used = {entry.name for entry in part(entries, using())}
    for path, content, wanted in (
        (LOCK, "what using the project needs", True),
        (DEV_LOCK, "what tests, checks and benchmarks need beyond requirements.lock", False),
    ):
        texts = [entry.whole for entry in entries if (entry.name in used) is wanted]
        (ROOT / path).write_text(HEAD.format(content) + "".join(texts), encoding="utf-8")


def _texts(roots: Sequence[str]) -> str:
    entries = part(read_lock((ROOT / LOCK).read_text(encoding="utf-8")), roots)
    return "\n".join(entry.text for entry in entries) + "\n"


def image_files() -> dict[str, str]:
    """Return what docker/Dockerfile reads: Python's minor version, the conda file without pip section, pins.

    Raises:
        LockError: the conda file names no Python, or the lock lacks a line of it.
    """
    requested = read_conda(ROOT / CONDA_FILE)
    if requested.python_minor is None:
        raise LockError(f"{CONDA_FILE}: names no Python; add - python=3.11")
    conda = yaml.safe_load((ROOT / CONDA_FILE).read_text(encoding="utf-8"))
    conda["dependencies"] = [requested.python, *requested.conda, "pip"]
    return {
        "python.txt": f"{requested.python_minor}\n",
        "conda.yaml": yaml.safe_dump(conda, sort_keys=False),
        "scoring.txt": _texts(scoring()),
        "hatchling.txt": _texts(["hatchling"]),
    }


def main(roots: Sequence[str]) -> int:
    """Compile the locks, print the part that `roots` name, or write the image's files; return the exit code."""
    if not roots:
        return compile_locks()
    try:
        if list(roots) == ["image"]:
            IMAGE_FOLDER.mkdir(parents=True, exist_ok=True)
            for name, text in image_files().items():
                (IMAGE_FOLDER / name).write_text(text, encoding="utf-8")
        else:
            print(_texts(scoring() if list(roots) == ["scoring"] else roots), end="")
    except LockError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
