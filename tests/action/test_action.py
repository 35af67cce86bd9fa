"""The GitHub Action: its bash steps run as a runner runs them, with files for what a step says to the runner."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import COMMAND
from support import DEADLINE, ROOT, Project

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
DEFAULTS = {name: facts["default"] for name, facts in ACTION["inputs"].items()}
EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")


def step(name: str) -> dict[str, Any]:
    [found] = [step for step in ACTION["runs"]["steps"] if step.get("name") == name]
    return dict(found)


class Runner:
    """A job of GitHub Actions: a checkout, a folder for temporary files, and what the steps said."""

    def __init__(self, folder: Path, **inputs: str) -> None:
        self.folder = folder
        self.context = {f"inputs.{name}": value for name, value in {**DEFAULTS, **inputs}.items()}
        self.context["github.action_path"] = str(ROOT)
        self.temp = folder / "runner"
        (self.temp / "batchtwin/bin").mkdir(parents=True)
        self.files = {name: self.temp / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for path in self.files.values():
            path.touch()
        for name in ("python", "batchtwin"):
            program = self.temp / "batchtwin/bin" / name
            program.write_text(f'#!/bin/sh\nexec "{COMMAND.with_name(name)}" "$@"\n')
            program.chmod(0o755)

    def run(self, name: str, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a step as a runner does: bash -eo pipefail, its env filled in, in the checkout."""
        values = {key: self.filled(value) for key, value in step(name)["env"].items()}
        path = f"{self.temp}/batchtwin/bin:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "RUNNER_TEMP": str(self.temp)}
        env |= {**{key: str(path) for key, path in self.files.items()}, **values, **(extra or {})}
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]]
        done = subprocess.run(
            words, cwd=self.folder, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        lines = self.files["GITHUB_OUTPUT"].read_text().splitlines()
        self.context |= {
            f"steps.score.outputs.{key}": value for key, _, value in (line.partition("=") for line in lines)
        }
        return done

    def filled(self, text: str) -> str:
        return EXPRESSION.sub(lambda match: self.context[match[1]], text)

    @property
    def summary(self) -> str:
        return self.files["GITHUB_STEP_SUMMARY"].read_text()

    def outputs(self) -> dict[str, str]:
        return {name: self.filled(facts["value"]) for name, facts in ACTION["outputs"].items()}


@pytest.fixture
def runner(project: Project) -> Runner:
    project.files(3)
    project.script = "def run(batch): return [f'row {len(batch)}' for _ in batch]"
    project.write()
    return Runner(project.folder, input="inputs")


def test_a_deployment_is_scored(runner: Runner) -> None:
    done = runner.run("Score")
    assert done.returncode == 0, done.stderr
    assert runner.outputs() == {"status": "Completed", "exit-code": "0", "output": "batchtwin-job"}
    assert runner.summary.startswith("## Completed: deployment.yml\n")
    assert "3 succeeded, 0 failed" in runner.summary
    assert (runner.folder / "batchtwin-job/named-outputs/score/predictions.csv").read_text() == "row 1\n" * 3
    assert runner.run("Exit code").returncode == 0


def test_a_failed_job_fails_after_its_report_is_kept(project: Project) -> None:
    project.files(2)
    project.script = "def run(batch): raise ValueError('``` not this one')"
    project.settings = {"error_threshold": 0}
    project.write()
    runner = Runner(project.folder, input="inputs")
    assert runner.run("Score").returncode == 0
    assert runner.outputs()["status"] == "Failed"
    assert "not this one" in runner.summary and "### Files that failed" in runner.summary
    assert runner.run("Exit code").returncode == 1
    names = [step.get("name") for step in ACTION["runs"]["steps"]]
    assert names.index("Score") < names.index("Keep the report") < names.index("Exit code")


def test_what_is_refused_says_why(runner: Runner) -> None:
    (runner.folder / "deployment.yml").write_text("name: x\n")
    runner.run("Score")
    assert runner.outputs()["status"] == "Refused"
    assert "deployment.yml:1: name: " in runner.summary
    assert runner.run("Exit code").returncode == 2


def test_arguments_are_words_and_no_shell(runner: Runner) -> None:
    runner.context["inputs.arguments"] = "--set settings.mini_batch_size=3\n--workers 1\n\n--overwrite\n"
    assert runner.run("Score").returncode == 0
    text = (runner.folder / "batchtwin-job/named-outputs/score/predictions.csv").read_text()
    assert text == "row 3\n" * 3


@pytest.mark.parametrize("name", ["input", "deployment", "model", "env", "arguments", "output", "tests"])
def test_an_input_is_never_run(runner: Runner, name: str) -> None:
    runner.context[f"inputs.{name}"] = '$(touch hacked) `touch hacked` "; touch hacked; "'
    runner.run("Score")
    runner.run("Tests")
    assert not (runner.folder / "hacked").exists()
    for entry in ACTION["runs"]["steps"]:
        assert not EXPRESSION.search(entry.get("run", "")), "expressions belong in env"


def test_an_output_with_a_line_break_sets_nothing_else(runner: Runner) -> None:
    runner.context["inputs.output"] = "job\nstatus=Completed"
    (runner.folder / "deployment.yml").write_text("name: x\n")
    runner.run("Score")
    assert runner.outputs()["status"] == "Refused"


def test_tests_run_after_the_job(runner: Runner) -> None:
    (runner.folder / "test_this.py").write_text("def test_this(): assert True\n")
    (runner.folder / "test_that.py").write_text("def test_that(): assert False\n")
    runner.context["inputs.tests"] = "test_this.py"
    assert runner.run("Tests").returncode == 0
    runner.context["inputs.tests"] = "test_this.py\ntest_that.py\n"
    done = runner.run("Tests")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout


# The python of setup-python: it makes a venv, which is here one whose pip says what it was told.
PYTHON = """\
#!/usr/bin/env bash
[[ $1 == -m && $2 == venv ]] && mkdir -p "$3/bin" && rm -f "$3/bin/python" && cat >"$3/bin/python" <<'END'
#!/usr/bin/env bash
printf '%s\\n' "$@" >"$RUNNER_TEMP/pip.txt"
END
chmod +x "$3/bin/python"
"""


def test_it_installs_itself_from_where_the_action_is(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(PYTHON)
    (tmp_path / "bin/python").chmod(0o755)
    done = runner.run("Install batchtwin", {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    words = (runner.temp / "pip.txt").read_text().splitlines()
    assert (words[:3], words[-2:]) == (["-m", "pip", "install"], [str(ROOT), "pytest"])
    assert runner.files["GITHUB_PATH"].read_text() == f"{runner.temp}/batchtwin/bin\n"


def test_every_input_and_output_is_described_and_used() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", yaml.safe_dump(ACTION["runs"])))
    assert used == set(ACTION["inputs"])
    assert all(facts["description"] for facts in (*ACTION["inputs"].values(), *ACTION["outputs"].values()))
    assert sys.version_info >= (3, 11) and DEFAULTS["python-version"] == "3.11"


def test_the_workflow_of_init_gives_inputs_that_the_action_has(tmp_path: Path, heart_model: Path) -> None:
    from support import batchtwin

    assert batchtwin("init", "mine", "--model", heart_model, cwd=tmp_path).code == 0
    workflow = yaml.safe_load((tmp_path / "mine/.github/workflows/score.yml").read_text())
    [job] = workflow["jobs"].values()
    assert set(job["steps"][-1]["with"]) <= set(ACTION["inputs"])
    named = [job["steps"][-1]["with"][name] for name in ("deployment", "input", "tests")]
    assert [name for name in named if not (tmp_path / "mine" / name).exists()] == []
