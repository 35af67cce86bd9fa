"""The README's commands are run, and their output is as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import COMMAND
from support import DEADLINE, ROOT

README = (ROOT / "README.md").read_text()
OWN, HEART = "Use it on your project", "The heart classifier"


def section(title: str) -> str:
    [text] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    return str(text)


def examples(title: str) -> list[tuple[str, str]]:
    """The commands of a section, each with the output that is shown."""
    blocks = re.findall(r"```console\n(.*?)```", section(title), re.DOTALL)
    return [pair for block in blocks for pair in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]


def as_pattern(expected: str) -> str:
    """`...` alone stands for any lines, or none, within a line for any text; anything else for itself."""
    lines = expected.strip("\n").split("\n")
    return "".join(
        r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"(?:\n|\Z)"
        for line in lines
    )


def check(commands: list[tuple[str, str]], folder: Path, env: dict[str, str]) -> None:
    """Run commands one after the other, in one shell: `cd` holds for the next."""
    before = ""
    for command, expected in commands:
        words = ["bash", "-c", f"{before}{command} 2>&1"]
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
        if match := re.match(r"cd \S+ && ", command):
            before += match[0]
        written = re.search(rf"^{re.escape(str(ROOT))}/outputs/[^/\n]+", done.stdout, re.MULTILINE)
        if written:
            shutil.rmtree(written.group())
        assert re.search(as_pattern(expected), done.stdout, re.MULTILINE), f"{command}\n{done.stdout}"


def test_a_project_of_ones_own_by_three_commands(heart_model: Path, tmp_path: Path) -> None:
    assert len(examples(OWN)) == 5
    (tmp_path / "batchtwin").symlink_to(ROOT)
    # What is installed goes to a folder, without what it needs: that is there already.
    pip = {"PIP_TARGET": str(tmp_path / "installed"), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
    pip["PIP_NO_BUILD_ISOLATION"] = "0"  # pip's word for: build with what is here
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    check(examples(OWN), tmp_path, {**os.environ, **pip, "HOME": str(tmp_path), "PATH": path})
    assert (tmp_path / "installed/batchtwin/scaffold/templates/deployment.yml").exists()


def test_the_heart_classifier_by_two_commands(heart_model: Path, tmp_path: Path) -> None:
    assert [command for command, _ in examples(HEART)] == ["make local-score", "make train"]
    # No container here; and `make train` must leave alone the model that other tests use.
    env = {**os.environ, "RUNNER": "venv", "MAKEFLAGS": ""}
    [score, train] = examples(HEART)
    check([score], ROOT, env)
    check([train], ROOT, {**env, "MODEL": str(tmp_path / "model")})


def test_the_test_is_the_one_that_init_writes() -> None:
    [block] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert block == (ROOT / "src/batchtwin/scaffold/templates/test_deployment.py.txt").read_text()


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"\]\(([^)#:]+)\)", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_it_is_read_in_a_minute() -> None:
    titles = re.findall(r"^## (.*)", README, re.MULTILINE)
    assert titles == [OWN, HEART, "To Azure", "The map"]
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("word", ["skops", "A model is code", "docs/recording.svg"])
def test_what_has_to_be_there(word: str) -> None:
    assert word in README
