"""Compile requirements.lock from pyproject.toml and the pip section of environment/conda.yaml.

Run by `make lock`. The lock is universal (every platform, Python 3.11 and later), carries hashes and
names no package index.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def pip_section(conda_file: Path) -> list[str]:
    """Return the requirements that the `pip:` entry of a conda environment file lists."""
    dependencies = yaml.safe_load(conda_file.read_text())["dependencies"]
    return [line for entry in dependencies if isinstance(entry, dict) for line in entry["pip"]]


def main() -> int:
    """Write requirements.lock; return uv's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        scoring = Path(folder, "conda.yaml.pip")
        scoring.write_text("\n".join(pip_section(ROOT / "environment/conda.yaml")) + "\n")
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
            *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-strip-extras"),
            *("--extra", "azure", "--extra", "uci", "--extra", "dev"),
            *("--custom-compile-command", "make lock"),
            *("pyproject.toml", str(scoring), "--output-file", "requirements.lock"),
        ]
        return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - fixed words only


if __name__ == "__main__":
    sys.exit(main())
