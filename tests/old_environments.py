"""Environments of other ages, made by uv below build/pythons/: the deployments that batchtwin_node has to run in.

`python tests/old_environments.py` makes all whose Python is on this machine, and says which are not.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/pythons"
UV = [sys.executable, "-m", "uv"]
# Half a gigabyte for several GPUs, which scoring never touches.
OVERRIDES = "nvidia-nccl-cu12; sys_platform == 'never'\nnvidia-nccl-cu13; sys_platform == 'never'\n"


@dataclass(frozen=True)
class Environment:
    """A Python of a minor version with packages; `arrow` is the pyarrow beside them that is put on the path, if any.

    `is_generation` says that models are made here.
    """

    name: str
    python: str
    packages: tuple[str, ...]
    arrow: str | None = None
    is_generation: bool = True

    @property
    def folder(self) -> Path:
        """Where it is made: another set of packages is another folder."""
        text = "\n".join([self.python, *self.packages, self.arrow or "", OVERRIDES])
        return BUILD / f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return self.folder / "bin/python"

    @property
    def has_arrow(self) -> bool:
        """Whether pyarrow is there: MLflow 2 and 3 bring one."""
        return self.arrow is not None or not self.name.startswith("mlflow1")

    @property
    def has_fastparquet(self) -> bool:
        """Whether Parquet files are read by fastparquet."""
        return any(package.startswith("fastparquet") for package in self.packages)

    @property
    def path(self) -> list[str]:
        """Folders to put at the front of `sys.path`."""
        return [str(self.folder / "arrow")] if self.arrow else []


SKLEARN_38 = ("scikit-learn==1.0.2", "pandas==1.3.5", "numpy==1.21.6", "Pillow==9.5.0", "xgboost==1.6.2")
# MLflow 1 and 2.9 import pkg_resources, which setuptools had until 80. MLflow 1 brings no pyarrow.
ENVIRONMENTS = (
    Environment("mlflow1.30", "3.8", ("mlflow==1.30.1", *SKLEARN_38, "cloudpickle==2.0.0", "setuptools<81")),
    Environment(
        "mlflow1.30-arrow6",
        "3.8",
        ("mlflow==1.30.1", *SKLEARN_38, "cloudpickle==2.0.0", "setuptools<81"),
        arrow="pyarrow==6.0.1",
        is_generation=False,
    ),
    Environment(
        "mlflow1.26-fastparquet",
        "3.8",
        ("mlflow==1.26.1", *SKLEARN_38, "cloudpickle==2.0.0", "setuptools<81", "fastparquet==0.8.3", "protobuf<4"),
        is_generation=False,
    ),
    Environment(
        "mlflow2.9",
        "3.9",
        (
            "mlflow==2.9.2",
            "scikit-learn==1.3.2",
            "pandas==2.0.3",
            "numpy==1.24.4",
            "Pillow==10.1.0",
            "xgboost==2.0.3",
            "setuptools<81",
        ),
    ),
    Environment(
        "mlflow2.16",
        "3.10",
        (
            "mlflow==2.16.2",
            "scikit-learn==1.5.2",
            "pandas==2.2.3",
            "numpy==1.26.4",
            "Pillow==10.4.0",
            "xgboost==2.1.4",
        ),
    ),
    Environment(
        "mlflow2.22",
        "3.12",
        ("mlflow==2.22.0", "scikit-learn==1.6.1", "pandas==2.2.3", "numpy==2.2.6", "Pillow==11.2.1", "xgboost==3.0.2"),
    ),
    Environment(
        "mlflow3",
        "3.13",
        ("mlflow==3.17.2", "scikit-learn==1.9.1", "pandas==2.3.3", "numpy==2.5.5", "Pillow==13.0.0", "xgboost==3.4.1"),
    ),
)


def find_python(minor: str) -> Path | None:
    """Return an interpreter of a minor version: pyenv's, else what uv finds; None if there is none."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    versions = [path for path in (root / "versions").glob(f"{minor}.*/bin/python") if path.exists()]
    if versions:
        return max(versions, key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.parents[1].name)])
    command = [*UV, "python", "find", "--no-python-downloads", "--no-project", minor]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def make(environment: Environment) -> bool:
    """Make an environment unless it is there; tell whether it is. It appears whole or not at all.

    Raises:
        subprocess.CalledProcessError: uv cannot make it; its own words are on standard error.
    """
    made = environment.folder / ".made"
    if made.exists():
        return True
    python = find_python(environment.python)
    if python is None:
        return False
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / f".{environment.name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(environment.folder, ignore_errors=True)
            _install(environment, python)
            made.touch()
    return True


def _install(environment: Environment, python: Path) -> None:
    subprocess.run([*UV, "venv", "--quiet", "--python", str(python), str(environment.folder)], check=True)
    overrides = environment.folder / "overrides.txt"
    overrides.write_text(OVERRIDES, encoding="utf-8")
    # Python compiles what is imported, a part of it, by itself.
    install = [*UV, "pip", "install", "--quiet", "--python", str(environment.interpreter)]
    subprocess.run([*install, "--overrides", str(overrides), *environment.packages], check=True)
    if environment.arrow:
        target = environment.folder / "arrow"
        subprocess.run([*install, "--no-deps", "--target", str(target), environment.arrow], check=True)


def main() -> None:
    """Make all environments, and print the interpreter of each."""
    for environment in ENVIRONMENTS:
        is_made = make(environment)
        print(f"{environment.name}: {environment.interpreter if is_made else f'no Python {environment.python} here'}")


if __name__ == "__main__":
    main()
