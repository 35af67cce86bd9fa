"""`--json`: one object on stdout, whatever happens; the exit code is as without it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import COMMAND, DEADLINE, ROOT, Finished, Project, batchtwin, wait_for

ROWS = """
    def run(mini_batch):
        print("from the script")
        return [f"{path[-6:]}" for path in mini_batch]
"""
FAILS = """
    def run(mini_batch):
        raise ValueError("no good")
"""
KEYS = {
    *("status", "ok", "exit_code", "cause", "advice", "summary", "files", "failed", "rows", "seconds"),
    *("folder", "predictions", "failures", "report", "warnings"),
}


def read(done: Finished) -> dict[str, Any]:
    data = json.loads(done.out)
    assert isinstance(data, dict)
    assert data["exit_code"] == done.code
    return data


def test_the_keys_are_documented() -> None:
    text = (ROOT / "docs/api.md").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("| `score`, `resume` |")]
    assert set(re.findall(r"`(\w+)`", line)) - {"resume", "score"} == KEYS


def test_score(project: Project) -> None:
    project.files(3)
    project.script = ROWS
    (project.inputs / ".hidden").write_text("x")
    data = read(project.score("--json"))
    assert set(data) == KEYS
    assert (data["status"], data["ok"], data["rows"]) == ("Completed", True, 3)
    assert data["predictions"] == str(project.folder / "job/named-outputs/score/predictions.csv")
    assert (data["failures"], data["report"]) == (None, str(project.folder / "job/report.html"))
    assert data["warnings"] == ["left out '.hidden': hidden"]


def test_a_failed_job(project: Project) -> None:
    project.files(1)
    project.script = FAILS
    data = read(project.score("--json"))
    assert (data["status"], data["ok"], data["exit_code"]) == ("Failed", False, 1)
    assert "no good" in data["cause"]
    assert (data["predictions"], data["failures"]) == (None, str(project.folder / "job/failures.jsonl"))

    project.script = ROWS
    assert read(batchtwin("resume", project.folder / "job", "--json"))["status"] == "Failed"


def test_resume_verify_and_compare(project: Project) -> None:
    project.files(2)
    project.script = ROWS
    job = project.folder / "job"
    assert project.score().code == 0
    resumed = read(batchtwin("resume", job, "--json"))
    assert (set(resumed), resumed["status"]) == (KEYS, "Completed")

    assert read(batchtwin("verify", job, "--json")) == {
        "ok": True,
        "exit_code": 0,
        "problems": [],
        "warnings": [],
        "checked": "2 input files, 2 of 2 mini batches, 2 rows",
    }
    comparison = read(batchtwin("compare", job, job, "--json"))
    assert (comparison["equal"], comparison["left_rows"]) == (True, 2)
    other = project.folder / "other.csv"
    other.write_text("00.txt\n02.txt\n")
    different = read(batchtwin("compare", job, other, "--json"))
    assert (different["equal"], different["exit_code"], len(different["differences"])) == (False, 1, 1)

    (job / "named-outputs/score/predictions.csv").write_text("changed\n")
    wrong = read(batchtwin("verify", job, "--json"))
    assert (wrong["ok"], wrong["exit_code"]) == (False, 1)
    assert "first difference at row 1 of" in wrong["problems"][-1]


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        (["score", "none.yml", "--input", "."], "DeploymentError", "no such file"),
        (["score", "none.yml"], "UsageError", "Missing option '--input'"),
        (["score", "none.yml", "--inputs", "x"], "UsageError", "No such option"),
        (["plan", "none.yml", "--input", "."], "DeploymentError", "no such file"),
        (["resume", "none"], "OutputError", "is not the output folder of a job"),
        (["verify", "none"], "LedgerError", "no such ledger"),
        (["compare", "none", "none"], "CompareError", "No such file"),
        (["environments", "show", "none"], "UsageError", "none"),
    ],
)
def test_errors(tmp_path: Path, words: list[str], kind: str, text: str) -> None:
    done = batchtwin(*words, "--json", cwd=tmp_path)
    data = read(done)
    assert done.code == 2
    assert text in data["error"]
    assert kind == data["kind"] or words[0] == "environments"
    plain = batchtwin(*words, cwd=tmp_path)
    assert (plain.code, plain.out) == (2, "")


def test_each_problem_of_a_deployment(project: Project) -> None:
    project.files(1)
    project.settings = {"mini_batch_size": 0, "timeout": 3}
    data = read(project.score("--json"))
    assert data["file"] == str(project.folder / "deployment.yml")
    assert [problem["key"] for problem in data["problems"]] == ["settings.mini_batch_size", "settings.timeout"]
    assert all(problem["line"] and problem["text"] for problem in data["problems"])


def test_other_words_named_json_are_left_alone(tmp_path: Path) -> None:
    """After `--` it is the name of a file; `ml` has words of its own."""
    done = batchtwin("verify", "--", "--json", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")


def on_terminal(words: list[str | Path], env: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal; return its exit code and what it showed."""
    controller, terminal = pty.openpty()
    command = [str(COMMAND), *map(str, words)]
    clean = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env={**clean, "TERM": "xterm", **env}) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                block = os.read(controller, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            shown += block
        process.wait(DEADLINE)
    os.close(controller)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def test_the_end_on_a_terminal(project: Project) -> None:
    project.files(2)
    project.script = ROWS
    code, text = on_terminal(project.words(), {})
    job = project.folder / "job"
    assert code == 0
    assert "\x1b[32m\x1b[1mCompleted\x1b[0m" in text
    assert re.search(r"2 files, 2 rows in [\d.]+ s, \d+ rows/s\n", text)
    assert f"predictions  {job}/named-outputs/score/predictions.csv\n" in text
    assert text.endswith(f"next         batchtwin verify {job}\n")


def test_the_end_of_a_failed_job_without_colour(project: Project) -> None:
    project.files(1)
    project.script = FAILS
    code, text = on_terminal(project.words(), {"NO_COLOR": "1"})
    job = project.folder / "job"
    assert code == 1
    assert not re.search("\x1b\\[[0-9;]*3[0-9]m", text)
    assert "\nFailed\n" in text
    assert f"failures     {job}/failures.jsonl\n" in text
    assert text.endswith(f"next         batchtwin resume {job} --retry-failed\n")


def test_after_a_bad_file_no_resume_is_next(echo: Callable[..., Path], tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.csv").write_text("out\n1,2\n")
    words: list[str | Path] = ["score", echo(), "--input", rows, "--output", tmp_path / "job", "--workers", "1"]
    code, text = on_terminal(words, {"NO_COLOR": "1"})
    assert code == 1
    assert text.endswith("next         correct the file, then batchtwin score ... --overwrite\n")
    again = read(batchtwin("resume", tmp_path / "job", "--json"))
    assert again["advice"].startswith(f"Correct the file and score again with --output {tmp_path}/job --overwrite")


def test_shell_completion() -> None:
    env = {**os.environ, "_BATCHTWIN_COMPLETE": "complete_bash", "COMP_WORDS": "batchtwin sc", "COMP_CWORD": "1"}
    done = subprocess.run([COMMAND], env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.stdout.split() == ["schema", "score"] or done.stdout.split() == ["score", "schema"]
    env |= {"COMP_WORDS": "batchtwin score --mod", "COMP_CWORD": "2"}
    done = subprocess.run([COMMAND], env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.stdout.split() == ["--model"]


def test_a_canceled_job(project: Project) -> None:
    project.files(2)
    project.script = """
        import os, time
        def run(mini_batch):
            if mini_batch[0].endswith("01.txt"):
                time.sleep(600)
            return ["row"]
    """
    project.settings = {"retry_settings": {"timeout": 900}}
    job = project.start("--json")
    wait_for(lambda: (project.folder / "job/job.sqlite").exists())
    job.terminate()
    data = read(project.end(job))
    assert (data["status"], data["exit_code"], data["cause"]) == ("Canceled", 130, "canceled by a signal")
