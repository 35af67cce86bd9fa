"""Compile benchmarks/requirements.txt from requirements.in (`make bench-lock`): what requirements.lock does not hold.

What both hold has the lock's version, so that batchtwin and its peers run in one environment.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.sets import ROOT
from scripts.lock import LOCK, read_lock

HERE = ROOT / "benchmarks"
HEAD = "# Compiled by `make bench-lock`: what benchmarks/requirements.in needs beyond requirements.lock.\n"


def main() -> int:
    """Write the file; return the exit code."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-strip-extras", "--constraints", str(ROOT / LOCK)),
        str(HERE / "requirements.in"),
    ]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if compiled.returncode:
        print(compiled.stderr, file=sys.stderr)
        return compiled.returncode
    held = {entry.name for entry in read_lock((ROOT / LOCK).read_text(encoding="utf-8"))}
    extra = [entry.text for entry in read_lock(compiled.stdout) if entry.name not in held]
    (HERE / "requirements.txt").write_text(HEAD + "\n".join(extra) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
