"""The pytest plugin, as a project of its own uses it: outside of the checkout, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from support import DEADLINE, Project

PLUGIN = "batchtwin.pytest_plugin"
Deploy = Callable[..., Path]
FAILS = """
    def run(mini_batch):
        if mini_batch[0].endswith(("01.txt", "02.txt")):
            raise ValueError("no good")
        return ["row"] * len(mini_batch)
"""


def run_pytest(folder: Path, test: str, *words: str) -> tuple[int, str]:
    """Run pytest on a test; return its exit code and what it printed."""
    tests = folder / "tests"
    tests.mkdir(exist_ok=True)
    (tests / "test_mine.py").write_text(textwrap.dedent(test))
    # An installation from before the plugin does not announce it.
    is_known = any(entry.value == PLUGIN for entry in entry_points(group="pytest11"))
    command = [sys.executable, "-m", "pytest", *([] if is_known else ["-p", PLUGIN]), "-p", "no:cacheprovider", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
    return done.returncode, done.stdout + done.stderr


def test_five_lines_test_a_deployment(echo: Deploy, tmp_path: Path) -> None:
    echo()
    data = tmp_path / "sample-data"
    data.mkdir()
    (data / "a.csv").write_text("out\n1\n2\n")
    code, text = run_pytest(
        tmp_path,
        """
        def test_scores(batch_score, tmp_path):
            result = batch_score("deployment.yml", input="sample-data")
            assert result.ok
            assert result.predictions["prediction"].tolist() == [1, 2]
            assert result.folder == tmp_path / "batchtwin/job-1"
            assert batch_score("deployment.yml", [{"out": 7}]).folder == tmp_path / "batchtwin/job-2"
        """,
        "-W",
        "error",
    )
    assert code == 0, text
    assert not (tmp_path / "outputs").exists()


def failing(project: Project, *words: str) -> str:
    project.files(3)
    project.settings = {"error_threshold": 1, "retry_settings": {"max_retries": 1}}
    project.script = FAILS
    project.write()
    code, text = run_pytest(
        project.folder,
        """
        def test_scores(batch_score):
            result = batch_score("deployment.yml", input="inputs", workers=1)
            assert result.ok
        """,
        *words,
    )
    assert code == 1, text
    return text


def test_a_failed_job_is_readable(project: Project) -> None:
    text = failing(project, "--show-capture=no")
    assert "assert result.ok" in text
    assert "Failed: The number of failed items is 2, which exceeds error threshold 1." in text
    assert re.search(r"01\.txt: \w+: ValueError: no good", text)
    assert "job: " in text
    assert "<Result Failed: " in text


def test_a_failed_job_is_readable_from_another_process(project: Project) -> None:
    assert "no good" in failing(project, "-n", "1").partition("- batchtwin -")[2]


def test_paths_are_found_from_other_folders(project: Project, tmp_path: Path) -> None:
    project.files(1)
    project.script = FAILS
    project.write()
    code, text = run_pytest(
        project.folder,
        """
        def test_scores(batch_score, monkeypatch, tmp_path):
            monkeypatch.chdir(tmp_path)
            assert batch_score("deployment.yml", "inputs", workers=1).ok
        """,
    )
    assert code == 0, text


def test_the_plugin_imports_nothing_at_the_start() -> None:
    script = f"import sys, {PLUGIN}; print([name for name in sys.modules if name.startswith('batchtwin')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"['batchtwin', '{PLUGIN}']"


def test_it_is_announced() -> None:
    data: dict[str, Any] = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert data["project"]["entry-points"]["pytest11"] == {"batchtwin": PLUGIN}
