"""Reports as Chromium shows them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from local_az import ENDPOINT, Az
from served import Server

from batchtwin.azure.web import page_link
from report_page import FAILS, HOSTILE, NUMBERS, WAITS
from support import ROOT, Project

HERE = ROOT / "build/browser"

pytestmark = pytest.mark.browser


def shown(folder: Path, shots: Path) -> dict[str, Any]:
    """The report of a job, loaded in each view."""
    return browse("browse.py", shots, (folder / "report.html").as_uri())


def browse(name: str, shots: Path, *arguments: str | Path) -> dict[str, Any]:
    """What a script saw in the browser."""
    script = Path(__file__).with_name(name)
    axe = HERE / "node_modules/axe-core/axe.min.js"
    words = [HERE / "venv/bin/python", script, axe, os.environ.get("CHROMIUM", ""), shots, *arguments]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def check(seen: dict[str, Any]) -> None:
    """No error, nothing from elsewhere, accessible, as wide as its window, and readable without JavaScript."""
    assert seen["console"] == [] and set(seen["requests"]) == {seen["url"]}
    assert seen["violations"] == [] and seen["overflow"] == []
    assert "What ran where" in seen["without_script"]


@pytest.fixture
def shots() -> Path:
    """Where screenshots stay, to be looked at."""
    folder = HERE / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_complete_job(project: Project, shots: Path) -> None:
    project.script = NUMBERS
    project.files(12)
    seen = shown(project.score().output, shots)
    check(seen)
    assert seen["copied"].splitlines()[0].split("\t")[:3] == ["Value", "Rows", "Share"]


def test_a_failed_job(project: Project, shots: Path) -> None:
    project.script = FAILS
    project.settings = {"error_threshold": 1}
    project.files(8)
    check(shown(project.score().output, shots))


def test_a_canceled_job(project: Project, tmp_path: Path, shots: Path) -> None:
    project.script = WAITS.replace("THERE", str(tmp_path))
    project.files(6)
    job = project.start()
    job.send_signal(signal.SIGINT)
    check(shown(project.end(job).output, shots))


def test_a_job_of_summary_only(project: Project, shots: Path) -> None:
    project.script = FAILS.replace("value % 2", "False")
    project.settings = {"output_action": "summary_only"}
    project.files(2)
    check(shown(project.score().output, shots))


def test_hostile_texts(project: Project, shots: Path) -> None:
    project.script = HOSTILE
    for name in ("<script>alert(4)<script>.txt", "\u202egnp.txt", "bad<b>.txt", "n" * 250 + ".txt"):
        (project.inputs / name).write_text("1")
    check(shown(project.score().output, shots))


def test_100_000_mini_batches(large_job: Path, shots: Path) -> None:
    check(shown(large_job, shots))


def test_the_page_of_a_job_that_runs(tmp_path: Path, shots: Path) -> None:
    az, gate = Az(tmp_path), tmp_path / "go"
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "weights.txt").write_text("42")
    az.ok("model", "create", "-n", "numbers", "-v", "1", "--path", weights, "--description", "<b>Weights</b>")
    az.ok("compute", "create", "-n", "cluster", "--type", "AmlCompute")
    az.ok("batch-endpoint", "create", "-n", ENDPOINT)
    script = WAITS.replace("THERE/go", str(gate))
    project = az.add(script, "project", "--set-default", "--set", "model=azureml:numbers:1")
    az.invoke("--input", project.inputs, "--job-name", "live")
    server = Server(tmp_path / "workspace")
    try:
        seen = browse("browse_pages.py", shots, page_link(server.folder, "live"), gate)
    finally:
        gate.touch()
        az.end("live")
        server.stop()
    origin = f"http://127.0.0.1:{server.connection.http_port}"
    assert seen["url"] == f"{origin}/web/jobs/live" and seen["script_cookie"] == ""
    assert not [referer for referer in seen["referers"] if "key=" in referer]
    assert all(url.startswith(origin) for url in seen["requests"]) and seen["console"] == []
    assert seen["model"].endswith("/web/models/numbers/1") and "live" in seen["jobs_of_the_model"]
    assert seen["kept"] == "not reloaded" and seen["buttons"] and seen["violations"] == []
