"""Our own processes, under this interpreter: the command, and those beside it.

`python -m` and `python -c` put the working folder first on the path: a user's `json.py` or `mlflow.py`, or one of a
fetched artifact, would be imported instead of the module. `-P` leaves the folder out.
"""

from __future__ import annotations

import gc
import sys

# Imports stay: collecting garbage among them, again and at the end, takes a tenth of a short job.
COLLECT_AFTER = 50_000
COMMAND_LINE = "from batchtwin.cli import main; main()"


def module_command(module: str, *arguments: object, warns: bool = True) -> list[str]:
    """Return the command that runs a module of ours; without `warns` it hides the warnings of libraries."""
    return [sys.executable, "-P", *([] if warns else ["-W", "ignore"]), "-m", module, *map(str, arguments)]


def batchtwin_command(*words: str) -> list[str]:
    """Return the command that runs `batchtwin` with these arguments."""
    return [sys.executable, "-P", "-c", COMMAND_LINE, *words]


def collect_rarely() -> None:
    """Look for garbage only after many new objects; called by a process before its imports."""
    gc.set_threshold(COLLECT_AFTER)
