"""Compile benchmarks/requirements.txt from requirements.in (`make bench WHAT=lock`): what the locks do not hold.

What both hold has the locks' version, so that batchtwin and its peers run in one environment.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.sets import ROOT
from scripts.lock import DEV_LOCK, LOCK, read_lock

HERE = ROOT / "benchmarks"
HEAD = "# Compiled by `make bench WHAT=lock`: what benchmarks/requirements.in needs beyond the two locks.\n"


def main() -> int:
    """Write the file; return the exit code."""
    locks = (ROOT / LOCK, ROOT / DEV_LOCK)
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-strip-extras"),
        *(word for lock in locks for word in ("--constraints", str(lock))),
        str(HERE / "requirements.in"),
    ]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if compiled.returncode:
        print(compiled.stderr, file=sys.stderr)
        return compiled.returncode
    held = {entry.name for lock in locks for entry in read_lock(lock.read_text(encoding="utf-8"))}
    extra = [entry.text for entry in read_lock(compiled.stdout) if entry.name not in held]
    (HERE / "requirements.txt").write_text(HEAD + "\n".join(extra) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
