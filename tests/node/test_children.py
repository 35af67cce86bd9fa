"""The end of a child process is noticed, with and without the system's help."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, subprocess, sys
from batchtwin_node.children import Child
if sys.argv[1] == "without":
    del os.pidfd_open
sleeper = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stdin=subprocess.PIPE)
child = Child(sleeper.pid, sleeper)
try:
    child.wait(0.01)
except TimeoutError:
    print("lives on")
sleeper.stdin.close()
print(child.wait(60), child.wait(0))
"""


@pytest.mark.parametrize("pidfd", ["with", "without"])
def test_an_end_is_waited_for(pidfd: str) -> None:
    child = "import sys; sys.stdin.read(); sys.exit(3)"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, pidfd, child], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split("\n") == ["lives on", "3 3", ""]
