"""`batchtwin doctor`: what works, what does not, how to fix it; in time, whatever hangs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtwin.doctor import machine
from support import Finished, Project, batchtwin, unprivileged

HANGS = "sleep 100 & sleep 100"
# Answers within this are in time: three seconds, and what a busy machine needs to start Python.
SECONDS = 10
CAN_BUILD = 'case "$1" in info|buildx) exit 0;; *) exit 1;; esac'
CANNOT_BUILD = 'case "$1" in info) exit 0;; *) exit 1;; esac'
DOWN = 'echo Client:; echo "ERROR: Cannot connect to the Docker daemon" >&2; exit 1'
PODMAN = 'case "$1" in info) exit 0;; --version) echo podman version 4;; *) exit 1;; esac'


def program(folder: Path, name: str, body: str) -> Path:
    """Write a program for bash."""
    path = folder / name
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)
    return path


def doctor(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Finished:
    # The checkout has a workspace where a model was trained in it.
    nothing = {"AZ": "no-such-az", "DOCKER": "no-such-engine", "BATCHTWIN_WORKSPACE": "no-such-workspace"}
    return batchtwin("doctor", *words, cwd=cwd, env={**nothing, **(env or {})})


def checks(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the checks as `--json` has them; the exit code agrees with them."""
    done = doctor(*words, "--json", cwd=cwd, env=env)
    content = json.loads(done.out)
    problems = [check for check in content["checks"] if check["status"] == "problem"]
    assert (done.code, content["ok"]) == (1 if problems else 0, not problems), done.err
    return list(content["checks"])


def named(results: list[dict[str, Any]], name: str) -> list[tuple[str, str]]:
    return [(check["status"], check["text"]) for check in results if check["name"] == name]


def test_a_machine_without_engine_and_az_runs_jobs(tmp_path: Path) -> None:
    done = doctor(cwd=tmp_path)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "Nothing stops a job."
    assert "note    engine      no-such-engine is not installed" in done.out
    assert "note    az          no-such-az is not installed" in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (CAN_BUILD, "ok", "answers and can build images"),
        (PODMAN, "ok", "answers and can build images"),
        (CANNOT_BUILD, "note", "cannot build images: no BuildKit"),
        (DOWN, "note", "ERROR: Cannot connect to the Docker daemon"),
        (HANGS, "note", "info does not answer"),
    ],
)
def test_the_engine(tmp_path: Path, body: str, status: str, text: str) -> None:
    engine = program(tmp_path, "engine", body)
    began = time.monotonic()
    [(found, said)] = named(checks("--engine", engine, cwd=tmp_path), "engine")
    assert time.monotonic() - began < SECONDS
    assert (found, text in said) == (status, True), said


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("echo mine", [("ok", "ml is installed"), ("ok", "subscription mine")]),
        ("exit 1", [("note", "ml is not installed"), ("note", "nobody is logged in")]),
        (HANGS, [("note", "did not answer in time"), ("note", "did not answer in time")]),
    ],
)
def test_the_azure_cli(tmp_path: Path, body: str, expected: list[tuple[str, str]]) -> None:
    az = program(tmp_path, "az", body)
    began = time.monotonic()
    results = checks("--az", az, cwd=tmp_path)
    assert time.monotonic() - began < SECONDS
    for name, (status, text) in zip(("extension", "login"), expected, strict=True):
        [(found, said)] = named(results, name)
        assert (found, text in said) == (status, True), said


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 8480))
            listener.listen()
        except OSError:
            pass  # taken by another program: as good
        [(status, text)] = named(checks(cwd=tmp_path), "ports")
    assert (status, "8480" in text) == ("note", True)


def test_what_serve_lacks_is_named_instead_of_its_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    [check] = machine.ports()
    assert (check.name, check.status) == ("serve", "note")
    assert check.text == "batchtwin serve needs fastapi, uvicorn, not installed; jobs need none of them"
    assert "fastapi" in check.fix and "uvicorn" in check.fix


def test_a_folder_that_cannot_be_written_stops_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    with unprivileged() as folder, monkeypatch.context() as patch:
        (folder / "locked").mkdir(mode=0o500)
        patch.chdir(folder / "locked")
        patch.setenv("BATCHTWIN_ENVIRONMENTS", str(folder))
        outputs, environments = machine.disk()
    assert (outputs.status, outputs.text) == ("problem", f"outputs: {folder / 'locked'} cannot be written")
    assert outputs.fix == "use another folder: --output DIR"
    assert environments.status != "problem"


def test_a_deployment_that_runs(project: Project) -> None:
    project.script = "import json\nimport yaml\nfrom azureml_user import parallel_run\ndef run(batch): return batch\n"
    results = checks(project.write())
    assert {check["status"] for check in results if check["name"] not in {"engine", "az", "ports"}} == {"ok"}
    assert named(results, "imports") == [("ok", "yaml: installed")]


def test_a_workflow_that_does_not_know_where_batchtwin_is(project: Project) -> None:
    """As `init` writes it where batchtwin was not installed from GitHub; also at the root of the repository."""
    project.script = "def run(batch): return batch\n"
    path = project.write()
    for folder in (project.folder, project.folder.parent):
        workflow = folder / ".github/workflows/score.yml"
        workflow.parent.mkdir(parents=True)
        workflow.write_text("      - uses: OWNER/batchtwin@main\n")
    (project.folder.parent / ".git").mkdir()
    results = named(checks(path), "workflow")
    assert [status for status, _ in results] == ["note", "note"]
    assert all("names OWNER/batchtwin@main, which is nowhere" in text for _, text in results)
    for folder in (project.folder, project.folder.parent):
        (folder / ".github/workflows/score.yml").write_text("      - uses: some/batchtwin@v1\n")
    assert named(checks(path), "workflow") == []


def test_a_yaml_with_mistakes_names_each(tmp_path: Path) -> None:
    path = tmp_path / "deployment.yml"
    path.write_text("type: model\nname: x\nendpoint_name: end\nmodel: m\ncompute: azureml:c\n")
    done = doctor(path)
    assert done.code == 1
    assert f"problem yaml        {path}:2: name: " in done.out
    assert f"problem yaml        {path}:4: model: " in done.out
    assert done.out.splitlines()[-1] == "2 problems stop a job."


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("import no_such_package.part\ndef run(batch): return batch\n", "driver.py:1: import no_such_package"),
        ("from helper import x\ndef run(batch): return batch\n", "helper.py:2: import no_such_package"),
    ],
)
def test_an_import_that_the_environment_lacks(project: Project, script: str, text: str) -> None:
    project.script = script
    path = project.write()
    (project.folder / "code/helper.py").write_text("import os\nfrom no_such_package import x\n")
    [(status, said)] = named(checks(path), "imports")
    assert (status, text in said) == ("problem", True), said


def test_an_import_that_may_fail_is_no_problem(project: Project) -> None:
    project.script = "try:\n    import no_such_package\nexcept ImportError:\n    pass\ndef run(batch): return batch\n"
    assert named(checks(project.write()), "imports") == [("ok", "none but the standard library")]


@pytest.mark.parametrize(
    ("script", "text"),
    [("def run(): return []\n", "run"), ("def run(batch:\n", "driver.py"), ("x = 1\n", "no run()")],
)
def test_a_script_that_cannot_run(project: Project, script: str, text: str) -> None:
    project.script = script
    [(status, said)] = named(checks(project.write()), "script")
    assert (status, text in said) == ("problem", True), said


def with_environment(project: Project, dependencies: list[Any]) -> Path:
    """A deployment whose conda file asks for these."""
    project.script = "import numpy\nimport cv2\ndef run(batch): return batch\n"
    path = project.write()
    content = yaml.safe_load(path.read_text())
    content["environment"]["conda_file"] = {"dependencies": dependencies}
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_environment_that_is_to_be_built(project: Project, tmp_path: Path) -> None:
    path = with_environment(project, ["python=3.11", {"pip": ["numpy==1.0", "no-such-package==1"]}])
    results = checks(path, "--env", "auto", env={"BATCHTWIN_ENVIRONMENTS": str(tmp_path / "none")})
    [(status, text)] = named(results, "environment")
    assert (status, text.startswith("one of its own, to be built: Python 3.11, 2 requested")) == ("ok", True)
    [(status, text)] = named(results, "imports")
    assert (status, "imports cv2, which no line of environment.conda_file names" in text) == ("note", True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("slugify", "python-slugify", ""),
        ("jwt", "PyJWT==2", ""),
        ("ftfy", "ftfy-python", ""),
        ("cv2", "opencv-contrib-python", ""),
        ("google.cloud", "google-cloud-storage", ""),
        ("no_such", "other", "add the package that brings no_such"),
        ("PIL", "other", "add pillow, unless another"),
        ("drivr", "other", "did you mean driver?"),
    ],
)
def test_a_package_may_have_another_name_than_its_module(
    project: Project, tmp_path: Path, module: str, line: str, told: str
) -> None:
    path = with_environment(project, ["python=3.11", {"pip": [line]}])
    (project.folder / "code/driver.py").write_text(f"import {module}\ndef run(batch): return batch\n")
    results = checks(path, "--env", "auto", env={"BATCHTWIN_ENVIRONMENTS": str(tmp_path / "none")})
    [(status, _)] = named(results, "imports")
    assert status == ("note" if told else "ok")
    assert told in str(results)


def test_what_only_conda_can_install_needs_conda(project: Project, tmp_path: Path) -> None:
    path = with_environment(project, ["python=3.11", "gdal=3.6"])
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "python3.11"):
        (folder / name).symlink_to(shutil.which(name) or "/usr/bin/env")
    results = checks(path, "--env", "venv", env={"PATH": str(folder)})
    assert ("problem", True) in [
        (status, "only conda can install" in text) for status, text in named(results, "environment")
    ]


def test_a_python_that_is_not_here_is_told(project: Project, tmp_path: Path) -> None:
    path = with_environment(project, ["python=3.8", {"pip": ["numpy"]}])
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path), "CONDA_PREFIX": ""}
    began = time.monotonic()
    results = checks(path, "--env", "auto", env={**env, "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv")})
    assert time.monotonic() - began < SECONDS
    texts = [text for _, text in named(results, "environment")]
    assert any("Python 3.8 is not on this machine" in text for text in texts), texts


def test_a_registered_model_needs_a_copy(project: Project, heart_model: Path) -> None:
    path = project.write()
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, "model": "azureml:heart@latest"}))
    [(status, text)] = named(checks(path), "model")
    assert (status, "is registered in Azure ML, not here" in text) == ("problem", True)
    results = checks(path, "--model", heart_model)
    assert [status for status, _ in named(results, "model")] == ["ok"]
    [(status, text)] = named(results, "names")
    assert (status, text.startswith("azureml:heart@latest, azureml:cluster: ")) == ("ok", True)


def test_names_are_looked_up_in_the_workspace_of_this_machine(project: Project, heart_model: Path) -> None:
    path = project.write()
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, "model": "azureml:heart@latest", "compute": "azureml:c1"}))
    env = {"BATCHTWIN_WORKSPACE": str(project.folder / "workspace")}
    words = ("ml", "model", "create", "--name", "heart", "--version", "1", "--type", "mlflow_model")
    assert batchtwin(*words, "--path", heart_model, env=env).code == 0
    results = checks(path, cwd=project.folder, env=env)
    assert [status for status, _ in named(results, "model")] == ["ok"], "as `score` finds it"
    [(status, text)] = named(results, "names")
    assert (status, text.split(":")[:2]) == ("note", ["azureml", "c1"])


def test_a_model_that_is_none_for_the_driver(project: Project) -> None:
    [(status, text)] = named(checks(project.write()), "model")
    assert (status, "holds no MLmodel file" in text) == ("problem", True)


def test_an_image_that_is_not_here(project: Project, tmp_path: Path) -> None:
    project.script = textwrap.dedent("import numpy\ndef run(batch): return batch\n")
    engine = program(tmp_path, "engine", CAN_BUILD)
    results = checks(project.write(), "--env", "image:none:1", "--engine", engine)
    assert named(results, "image") == [("problem", "none:1 is not on this machine")]
    results = checks(project.write(), "--env", "image:none:1")
    assert [status for status, _ in named(results, "engine")] == ["problem"]


def test_nothing_is_written(project: Project, tmp_path: Path) -> None:
    project.script = "def run(batch): return batch\n"
    path = project.write()
    before = sorted(os.walk(project.folder))
    doctor(path, cwd=project.folder, env={"BATCHTWIN_ENVIRONMENTS": str(tmp_path / "none")})
    assert (sorted(os.walk(project.folder)), (tmp_path / "none").exists()) == (before, False)
