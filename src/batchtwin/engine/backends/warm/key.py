"""The key of a warm server: jobs with the same key could have used the same fork server.

The server itself compares the files: interpreter, packages, model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchtwin.engine.backends.packages import stamp_of_packages
from batchtwin_node.protocol import VERSION, NodeInit
from batchtwin_node.script.imports import top_imports
from batchtwin_node.warm.messages import ENDING

# Variables that no import reads: of a shell, a terminal, a session or a test runner; and batchtwin's own.
PASSING = frozenset(
    "_ PWD OLDPWD SHLVL COLUMNS LINES WINDOWID INVOCATION_ID JOURNAL_STREAM TERM TERM_PROGRAM TERM_PROGRAM_VERSION"
    " TERM_SESSION_ID TMUX TMUX_PANE SSH_AUTH_SOCK SSH_CLIENT SSH_CONNECTION SSH_TTY XDG_SESSION_CLASS"
    " XDG_SESSION_DESKTOP XDG_SESSION_ID XDG_SESSION_TYPE PYTEST_CURRENT_TEST PYTEST_VERSION PYTEST_XDIST_TESTRUNUID"
    " PYTEST_XDIST_WORKER PYTEST_XDIST_WORKER_COUNT".split()
)
PASSING_PREFIX = "BATCHTWIN_"
# Limits and settings that a process inherits from its parent, and that cannot or should not change.
STATUS = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
STATUS_MORE = ("Seccomp", "Cpus_allowed", "Mems_allowed")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def names_of(python: str, packages: str, env: Mapping[str, str], init: NodeInit) -> tuple[str, str]:
    """Return the names of the sockets of the server for a job, and of the one with its imports but no model.

    The second is empty if no model is loaded before workers are forked. `packages` is the folder of the node's
    packages, `env` the node's environment.

    Raises:
        OSError: a file cannot be looked at.
    """
    config = init.preload
    script = config.script if config else None
    key: dict[str, Any] = {
        "version": VERSION,
        "python": [python, *_stamp(os.path.realpath(python))],
        "packages": [packages, stamp_of_packages()],
        "imports": imports(script) if script else None,
        "model": config.model if config else None,
        "skops": config.skops if config else False,
        "env": sorted((name, value) for name, value in env.items() if matters(name)),
        "variables": sorted(init.variables.items()),
        "process": inherited(),
        # Imports may read files by relative names, and the path may have relative entries.
        "folder": os.getcwd(),
    }
    return _name(key), _name({**key, "model": None}) if key["model"] else ""


def _name(key: Mapping[str, Any]) -> str:
    text = json.dumps(key, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24] + ENDING


def matters(name: str) -> bool:
    """Whether imports may depend on a variable of the environment."""
    return name not in PASSING and not name.startswith(PASSING_PREFIX)


def imports(script: tuple[str, str]) -> list[str]:
    """Return what a script imports at its top, installed or not."""
    return list(dict.fromkeys(imported.name for imported in top_imports(Path(script[0]), script[1])))


def _stamp(path: str) -> tuple[int, int, int, int]:
    about = os.stat(path)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def inherited() -> list[Any]:
    """Return what this process has from its parent, and passes on to its children."""
    variables = {*STATUS, *STATUS_MORE}
    lines = _read("status").splitlines()
    status = [line for line in lines if line.partition(":")[0] in variables]
    spaces = [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES]
    texts = [_read(name) for name in ("cgroup", "limits", "oom_score_adj")]
    root = os.stat("/")
    return [status, spaces, texts, os.getpriority(os.PRIO_PROCESS, 0), root.st_dev, root.st_ino]


def _read(name: str) -> str:
    """Return a file of /proc about this process; names in it may hold any bytes."""
    return Path("/proc/self", name).read_text(encoding="utf-8", errors="surrogateescape")
