"""The site of the documentation: it builds, its links lead somewhere, and its examples are those that are tested."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import COMMAND
from support import DEADLINE, ROOT, Project, batchtwin

PARTS = ("docs", "scripts", "src", "mkdocs.yml")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


def test_every_page_is_built(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    missing = [page for page in pages if not (site / page).exists() and page.name != "README.html"]
    assert (missing, (site / "decisions/index.html").exists()) == ([], True)


def test_every_command_and_option_is_on_its_page(site: Path) -> None:
    text = text_of(site / "commands.html")
    listed = re.findall(r"^│ (\w+) ", batchtwin("--help").out, re.MULTILINE)
    assert {"score", "init", "doctor"} <= set(listed)
    assert [name for name in listed if name != "ml" and f"batchtwin {name}" not in text] == []
    assert "--mini-batch" not in text and "--retry-failed" in text


def test_functions_and_their_errors_are_on_the_page_of_the_api(site: Path) -> None:
    text = text_of(site / "api.html")
    names = ("score", "plan", "resume", "verify", "compare", "BatchTwinError")
    assert [name for name in names if name not in text] == []
    assert "Raises" in text


def test_links_that_lead_nowhere_fail(tmp_path: Path) -> None:
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    links = ["no-page.md", "../no-file.py", "commands.md#no-heading", "/absolute.md"]
    page = tmp_path / "docs/platforms.md"
    page.write_text(page.read_text() + "".join(f"\n[this]({link})\n" for link in links))
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert [link for link in links if link.rpartition("#")[2] not in done.stdout + done.stderr] == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    page = (site / "index.html").read_text()
    assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://(?!squidfunk)[^"]+"', page) == []


def blocks(page: str) -> list[Any]:
    """The YAML examples of a page."""
    text = (ROOT / "docs" / page).read_text()
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def test_the_workflow_on_the_page_is_that_of_init(tmp_path: Path, heart_model: Path) -> None:
    assert batchtwin("init", "mine", "--model", heart_model, cwd=tmp_path).code == 0
    written = yaml.safe_load((tmp_path / "mine/.github/workflows/score.yml").read_text())
    written["jobs"]["score"]["steps"][1]["uses"] = "OWNER/batchtwin@main"
    assert blocks("ci.md")[0] == written


def test_the_score_step_of_azure_devops_runs(project: Project) -> None:
    project.files(2)
    project.script = "def run(batch): return batch"
    project.write()
    pipeline = blocks("ci.md")[1]
    [script] = [step["bash"] for step in pipeline["steps"] if step.get("displayName") == "Score"]
    script = script.replace("$(Build.ArtifactStagingDirectory)", str(project.folder / "staging"))
    words = ["bash", "-ec", script.replace("batchtwin", str(COMMAND)).replace("--input data", "--input inputs")]
    done = subprocess.run(words, cwd=project.folder, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    assert (project.folder / "staging/job/named-outputs/score/predictions.csv").exists()


def test_inputs_of_the_action_are_on_the_page() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    rows = re.findall(r"^\| `([\w-]+)` \| (?:`([^`]*)` )?\|", (ROOT / "docs/ci.md").read_text(), re.MULTILINE)
    assert dict(rows) == {name: facts["default"] for name, facts in action["inputs"].items()}


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_issue_templates_are_forms_that_github_takes(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": False}
        return
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "title", "labels", "body"}
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert {field["type"] for field in form["body"]} <= {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in form["body"])


def test_the_dev_container_sets_up_what_the_makefile_has() -> None:
    config = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    command, target = config["postCreateCommand"].split()
    assert command == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    dockerfile = ROOT / ".devcontainer" / config["build"]["dockerfile"]
    assert "FROM python:3.11" in dockerfile.read_text()
