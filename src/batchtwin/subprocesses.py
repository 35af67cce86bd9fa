"""Processes of our own beside a command, under this interpreter.

`python -m` and `python -c` put the working folder first on the path: a file `json.py` or `mlflow.py` of the user's, or
of an artifact that was fetched there, would be imported in the place of the module. `-P` leaves the folder out.
"""

from __future__ import annotations

import sys

COMMAND_LINE = "from batchtwin.cli import main; main()"


def module_command(module: str, *arguments: object, warns: bool = True) -> list[str]:
    """Return the command that runs a module of ours; without `warns`, no warning of a library is shown."""
    return [sys.executable, "-P", *([] if warns else ["-W", "ignore"]), "-m", module, *map(str, arguments)]


def batchtwin_command(*words: str) -> list[str]:
    """Return the command that runs `batchtwin` with these words."""
    return [sys.executable, "-P", "-c", COMMAND_LINE, *words]
