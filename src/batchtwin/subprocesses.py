"""Our own processes beside a command, under this interpreter.

`python -m` and `python -c` put the working folder first on the path: a user's `json.py` or `mlflow.py`, or one of a
fetched artifact, would be imported instead of the module. `-P` leaves the folder out.
"""

from __future__ import annotations

import sys

COMMAND_LINE = "from batchtwin.cli import main; main()"


def module_command(module: str, *arguments: object, warns: bool = True) -> list[str]:
    """Return the command that runs a module of ours; without `warns` it hides the warnings of libraries."""
    return [sys.executable, "-P", *([] if warns else ["-W", "ignore"]), "-m", module, *map(str, arguments)]


def batchtwin_command(*words: str) -> list[str]:
    """Return the command that runs `batchtwin` with these arguments."""
    return [sys.executable, "-P", "-c", COMMAND_LINE, *words]
