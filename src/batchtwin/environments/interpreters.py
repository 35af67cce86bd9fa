"""Python X.Y on this machine: pyenv's and conda's folders first, then PATH, then what uv finds or installs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from batchtwin.errors import BatchTwinError

CHECK = "import sys; print('%d.%d' % sys.version_info[:2])"
CHECK_SECONDS = 20.0
INSTALL_SECONDS = 600.0
CONDA_FOLDERS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", ".conda")


class NoPythonError(BatchTwinError):
    """No interpreter of the version that is requested."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"Python {version} is not on this machine, and uv could not install it; install it "
            f"(`pyenv install {version}`, `uv python install {version}`, your system's package), "
            "or run in an image or here: --env image:TAG, --env here"
        )


def find_python(version: str) -> Path:
    """Return an interpreter of a minor version such as `3.8`, one that really runs.

    Raises:
        NoPythonError: there is none, and none can be installed.
    """
    for path in _candidates(version):
        if runs(path, version):
            return path
    known = _uv("find", version)
    if known is None and _uv("install", version) is not None:
        known = _uv("find", version)
    if known is None or not runs(known, version):
        raise NoPythonError(version)
    return known


def runs(path: Path, version: str) -> bool:
    """Whether an interpreter runs and is of this minor version: a shim on PATH may be of none."""
    try:
        done = subprocess.run(  # noqa: S603
            [str(path), "-I", "-S", "-c", CHECK], capture_output=True, text=True, timeout=CHECK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _candidates(version: str) -> Iterator[Path]:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield Path(getattr(sys, "_base_executable", None) or sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(pyenv.glob(f"{version}.*/bin/python"), key=_patch, reverse=True)
    roots = [Path(os.environ["CONDA_PREFIX"])] if os.environ.get("CONDA_PREFIX") else []
    roots += [Path.home() / name for name in CONDA_FOLDERS] + [Path("/opt/conda")]
    for root in roots:
        yield from (path for path in (root / f"bin/python{version}", *root.glob(f"envs/*/bin/python{version}")))
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)


def _patch(path: Path) -> int:
    digits = path.parent.parent.name.rpartition(".")[2]
    return int(digits) if digits.isdecimal() else -1


def _uv(verb: str, version: str) -> Path | None:
    """Return what `uv python find` prints, or anything at all if `uv python install` succeeds."""
    command = [sys.executable, "-m", "uv", "python", verb, "--quiet" if verb == "install" else "--no-project", version]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(done.stdout.strip() or ".") if done.returncode == 0 else None
