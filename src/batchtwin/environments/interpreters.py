"""Python X.Y on this machine: pyenv's and conda's folders first, then PATH, then what uv finds or installs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from batchtwin import atomic, user_folders
from batchtwin.environments.cache import cache_folder
from batchtwin.environments.requested import HERE
from batchtwin.environments.uv import UvError, program, variables
from batchtwin.errors import BatchTwinError

CHECK = "import sys; print('%d.%d' % sys.version_info[:2])"
CHECK_SECONDS = 20.0
INSTALL_SECONDS = 600.0
CONDA_FOLDERS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".conda")
# Earlier results, so that a shim or a slow `uv python find` runs once.
PATHS_FILE = "pythons.json"


class NoPythonError(BatchTwinError):
    """No interpreter of the version that is requested."""


def find_python(version: str, note: Callable[[str], None] = lambda _: None) -> Path:
    """Return a working interpreter of a minor version such as `3.8`. `note` gets a sentence if one is downloaded.

    Raises:
        NoPythonError: there is none, and none can be installed.
    """
    paths = _cached_paths()
    path = Path(paths.get(version, ""))
    if version in paths and os.access(path, os.X_OK) and runs(path, version):
        return path
    path = _search(version, note)
    with suppress(OSError):  # a cache that cannot be written is no reason to stop
        cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        atomic.write_text(cache_folder() / PATHS_FILE, json.dumps({**_cached_paths(), version: str(path)}), sync=False)
    return path


def _cached_paths() -> dict[str, str]:
    try:
        content = json.loads((cache_folder() / PATHS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _search(version: str, note: Callable[[str], None]) -> Path:
    for path in candidates(version):
        if runs(path, version):
            return path
    installed = _uv("find", version)
    if installed is None:
        note(f"Python {version} is not on this machine; uv downloads it")
        if _uv("install", version) is not None:
            installed = _uv("find", version)
    if installed is None or not runs(installed, version):
        raise NoPythonError(
            f"Python {version} is not on this machine, and uv could not install it; install it "
            f"(`pyenv install {version}`, `uv python install {version}`, your system's package), "
            "or run in an image or here: --env image:TAG, --env here"
        )
    return installed


def runs(path: Path, version: str) -> bool:
    """Whether an interpreter runs and has this minor version: a shim on PATH may have none."""
    try:
        done = subprocess.run(  # noqa: S603
            [str(path), "-I", "-S", "-c", CHECK],
            env=variables(),
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def candidates(version: str) -> Iterator[Path]:
    """Yield paths where an interpreter of a minor version may be, the best first; nothing is run."""
    if version == HERE:
        yield Path(getattr(sys, "_base_executable", None) or sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT") or user_folders.home() / ".pyenv") / "versions"
    yield from sorted(pyenv.glob(f"{version}.*/bin/python"), key=_patch, reverse=True)
    roots = [Path(os.environ[name]) for name in ("CONDA_PREFIX", "MAMBA_ROOT_PREFIX") if os.environ.get(name)]
    roots += [user_folders.home() / name for name in CONDA_FOLDERS] + [Path("/opt/conda"), Path("/opt/miniconda3")]
    for root in roots:
        yield from (path for path in [root / f"bin/python{version}", *root.glob(f"envs/*/bin/python{version}")])
        yield from sorted(root.glob(f"pkgs/python-{version}.*/bin/python{version}"), reverse=True)
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)


def _patch(path: Path) -> int:
    digits = path.parent.parent.name.rpartition(".")[2]
    return int(digits) if digits.isdecimal() else -1


def _uv(verb: str, version: str) -> Path | None:
    """Return the output of `uv python find`, or anything at all if `uv python install` succeeds."""
    allowed = {"UV_PYTHON_DOWNLOADS": os.environ.get("UV_PYTHON_DOWNLOADS", "manual")}
    words = ["--quiet"] if verb == "install" else ["--no-project"]
    try:
        done = subprocess.run(  # noqa: S603
            [program(), "python", verb, *words, version],
            env={**variables(), **allowed},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UvError):
        return None
    return Path(done.stdout.strip() or ".") if done.returncode == 0 else None
