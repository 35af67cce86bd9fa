"""The README's commands are run, and their output is as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from support import DEADLINE, ROOT

BLOCKS = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
EXAMPLES = [
    (command, expected)
    for block in BLOCKS
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


def as_pattern(expected: str) -> str:
    """`...` stands for any text; anything else for itself."""
    return ".*".join(map(re.escape, expected.strip("\n").split("...")))


def test_the_examples_in_their_order(heart_model: Path, tmp_path: Path) -> None:
    # No container here; and `make` must leave alone the model that other tests use.
    env = {**os.environ, "RUNNER": "venv", "MODEL": str(tmp_path / "model"), "MAKEFLAGS": ""}
    assert len(EXAMPLES) >= 4
    for command, expected in EXAMPLES:
        words = ["bash", "-c", f"{command} 2>&1"]
        done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
        written = re.search(r"^/.*/outputs/[^/\n]+", done.stdout, re.MULTILINE)
        if written:
            shutil.rmtree(written.group())
        assert re.search(as_pattern(expected), done.stdout, re.DOTALL), f"{command}\n{done.stdout}"


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
