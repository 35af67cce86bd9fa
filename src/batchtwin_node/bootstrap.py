"""How this package starts on an interpreter that does not have it: `python -c TEXT FOLDER MODULE ARGUMENTS...`.

`python -m` would need the package on the path, and Python before 3.11 lacks `-P`. FOLDER goes to the end of `sys.path`,
so that a user's modules come first. The working folder is not on the path, as in the service.
"""

from __future__ import annotations

import os
import sys

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXT = """\
import sys
folder, module = sys.argv[1:3]
sys.path[:] = [place for place in sys.path if place]
folder in sys.path or sys.path.append(folder)
sys.argv[:] = ["batchtwin"] + sys.argv[3:]
import importlib
sys.exit(importlib.import_module(module).main(sys.argv[1:]))
"""


def command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs `main(arguments)` of a module of this package under this interpreter."""
    return [sys.executable, "-c", TEXT, FOLDER, f"batchtwin_node.{module}", *map(str, arguments)]


def node_command(python: str, folder: str, parent: int) -> list[str]:
    """Return the command that starts a node under `python`, with this package in `folder`.

    `parent` is the pid of the controller, 0 where it is in another namespace. The node uses no site-packages, and
    ignores Python's variables; its workers do not.
    """
    # Coverage measures a process by a hook in site-packages.
    isolated = ["-I"] if "COVERAGE_PROCESS_CONFIG" in os.environ else ["-I", "-S"]
    return [python, *isolated, "-c", TEXT, folder, "batchtwin_node.node", str(parent)]
