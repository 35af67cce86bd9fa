"""A project that is scored warm, for tests: its jobs, how their workers came to be, and the server that stays."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchtwin.engine.backends.warm.servers import WarmServer, warm_servers
from support import COMMAND, Finished, Project, is_over, wait_for

COLD, WARM, BY_ITSELF = "forked,", "forked from a warm server,", "started by itself"
SCRIPT = """
    import json, os
    import helper
    def run(mini_batch):
        return [f"{os.path.basename(path)} {helper.VALUE}" for path in mini_batch]
"""


def on_path(folder: Path) -> str:
    """The variable that puts a folder on the path of every process, before what is there."""
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


@dataclass
class Warm:
    """A project that is scored warm, with a module `helper` installed, and a folder of servers of its own."""

    project: Project
    folder: Path

    def __post_init__(self) -> None:
        self.helper = self.project.folder / "installed/helper.py"
        self.helper.parent.mkdir()
        self.helper.write_text("VALUE = 1\n")
        self.project.script = SCRIPT
        self.project.files(2)
        self.env = {"PYTHONPATH": on_path(self.helper.parent)}

    def score(self, *words: str | Path, env: dict[str, str] | None = None) -> Finished:
        """Score with one worker, and have the server there when it returns, if one stays."""
        done = self.project.score("--overwrite", "--workers", "1", "--warm", *words, env={**self.env, **(env or {})})
        assert done.code == 0, done.err
        return done

    def keep(self, *words: str | Path) -> WarmServer:
        """Score, and return the server that stays."""
        self.score(*words)
        wait_for(lambda: bool(warm_servers()))
        return warm_servers()[-1]

    def start(self) -> subprocess.Popen[str]:
        """Start a job that does not end by itself; return when it runs."""
        self.project.script = SCRIPT.replace(
            "return", "open('runs', 'w').close(); __import__('time').sleep(600); return"
        )
        words = [*map(str, self.project.words("--overwrite", "--warm"))]
        job = subprocess.Popen([str(COMMAND), *words], env={**os.environ, **self.env}, text=True)
        wait_for(lambda: len(list(self.project.folder.glob("job/scratch/*/runs"))) == 2)
        return job


def how(done: Finished) -> str:
    """How the worker of a job came to be."""
    [line] = [line for line in done.log("sys/node/*/*.txt").splitlines() if ", pid" in line and "try" not in line]
    return line.split(" ", 1)[1].partition(" pid")[0]


def why_cold(done: Finished) -> str:
    """Why a job was not warm, as its log says; empty if it was."""
    lines = [line for line in done.log("job_progress_overview*").splitlines() if "Not warm: " in line]
    return lines[0].partition("Not warm: ")[2] if lines else ""


def gone(pid: int) -> Callable[[], bool]:
    return lambda: is_over(pid)
