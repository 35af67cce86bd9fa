"""Section 5: a job ends as it ends, and the exit code says how, whether or not anybody reads what is printed."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from support import COMMAND, DEADLINE, Project

# What a shell can do to the streams of a command.
LOST = (
    *(">/dev/full", "2>/dev/full", ">/dev/full 2>&1"),
    *(">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"),
    *("| head -c0", "2>&1 | head -c0", "| head -n1"),
)


def ended(words: list[str | Path], streams: str, cwd: Path) -> tuple[int, str]:
    """Run a command under bash; its exit code, and what reaches standard error."""
    command = shlex.join(map(str, [COMMAND, *words]))
    line = (
        f"set -o pipefail; {command} {streams}"
        if "|" not in streams
        else (f"{command} {streams} >/dev/null; exit ${{PIPESTATUS[0]}}")
    )
    done = subprocess.run(["bash", "-c", line], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.ours("5", "A closed, full or broken standard output or error changes neither output nor exit code.")
@pytest.mark.parametrize("streams", LOST)
def test_lost_streams(project: Project, streams: str) -> None:
    project.files(3)
    project.script = "def run(mini_batch):\n    print('heard')\n    return ['row']"
    code, text = ended(project.words(), streams, project.folder)
    assert code == 0
    assert "Traceback" not in text
    assert (project.folder / "job/named-outputs/score/predictions.csv").read_text() == "row\n" * 3
    code, text = ended(["verify", project.folder / "job"], streams, project.folder)
    assert (code, "Traceback" in text) == (0, False)


@pytest.mark.ours("5", "A job that fails says so by its exit code, whatever becomes of what it prints.")
@pytest.mark.parametrize("streams", [">/dev/full 2>&1", ">&- 2>&-", "2>&1 | head -c0"])
def test_failed_job_without_streams(project: Project, streams: str) -> None:
    project.files(2)
    project.script = "def run(mini_batch): raise ValueError('boom')"
    assert ended(project.words(), streams, project.folder)[0] == 1
    words: list[str | Path] = ["plan", project.folder / "deployment.yml", "--input", project.folder / "nowhere"]
    assert ended(words, streams, project.folder)[0] == 2


@pytest.mark.ours("5", "Every command keeps its exit code where its streams are closed or full.")
@pytest.mark.parametrize("streams", [">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_every_command(project: Project, streams: str) -> None:
    [first, second] = project.files(2)
    project.script = "def run(mini_batch): return ['row']"
    path = project.write()
    workspace = f"BATCHTWIN_WORKSPACE={project.folder / 'workspace'}"
    commands: list[tuple[int, list[str | Path]]] = [
        (0, ["plan", path, "--input", project.inputs]),
        (0, ["plan", path, "--input", project.inputs, "--json"]),
        (0, ["compare", first, first]),
        (1, ["compare", first, second]),
        (0, ["environments", "list"]),
        (2, ["environments", "remove"]),
        (2, ["ml", "job", "show", "--name"]),
        (0, ["--version"]),
        (0, ["--help"]),
        (0, ["ml", "model", "list"]),
        (3, ["ml", "model", "show", "--name", "nothing", "--version", "1"]),
    ]
    codes = []
    for _, words in commands:
        command = shlex.join(map(str, ["env", workspace, COMMAND, *words]))
        done = subprocess.run(
            ["bash", "-c", f"{command} {streams}"], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        assert "Traceback" not in done.stdout + done.stderr
        codes.append(done.returncode)
    assert codes == [code for code, _ in commands]


@pytest.mark.ours("5", "A full standard output is reported on standard error.")
def test_full_output_is_told(project: Project) -> None:
    done = ended(["--version"], ">/dev/full", project.folder)
    assert done == (0, "standard output: No space left on device; what was printed is not whole\n")
