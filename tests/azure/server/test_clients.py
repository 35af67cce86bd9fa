"""Clients: `local_ml_client`, several at once, and an SDK of another age."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from served import Server

from support import COMMAND, DEADLINE, ROOT, Project

OLD_SDK = ROOT / ".venv-old-sdk/bin/python"
LOCAL = """
import warnings
warnings.simplefilter("ignore")
from batchtwin.azure import local_ml_client
print(local_ml_client().workspaces.get("local").location)
"""


@pytest.mark.sdk("`batchtwin.azure.local_ml_client()`", "a client without variables")
def test_local_ml_client(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCAL], env=server.environment, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.stdout == "local\n", done.stderr


@pytest.mark.sdk("`batchtwin.azure.local_ml_client()`", "passes by the proxy that the shell names")
def test_a_proxy_is_passed_by(server: Server) -> None:
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_PROXY": "corp.example"}
    environment = {**server.environment, **nowhere}
    done = subprocess.run(
        [sys.executable, "-c", LOCAL], env=environment, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.stdout == "local\n", done.stderr


def test_importing_the_faces_imports_no_sdk() -> None:
    code = "import sys, batchtwin.azure; print([name for name in ('azure.ai', 'fastapi') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def run(python: Path | str, server: Server, project: Project, name: str) -> subprocess.Popen[str]:
    """Start `sdk_session.py` with an SDK."""
    environment = {**os.environ, **server.connection.variables(), "AZUREML_RUN_POLLING_INTERVAL_MIN": "1"}
    words = [str(python), "-P", str(ROOT / "tests/sdk_session.py"), str(server.folder), str(project.folder), name]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str]) -> dict[str, str]:
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err[-3000:]
    answer: dict[str, str] = json.loads(out.splitlines()[-1])
    return answer


@pytest.mark.sdk("two clients", "at the same time")
def test_two_clients_at_once(server: Server, tmp_path: Path) -> None:
    """Each with files of its own: of equal ones, uploaded at one moment, the SDK fails on the second, as on Azure."""
    clients = []
    for name, count in (("one-of-2", 2), ("two-of-2", 3)):
        project = Project(tmp_path / name)
        project.files(count)
        (project.folder / "model/weights.txt").write_text(name)
        project.script = f"def run(files): return [open(file).read().strip() for file in files]  # {name}"
        project.write()
        clients.append(run(sys.executable, server, project, name))
    answers = [result(each) for each in clients]
    assert [each["predictions"] for each in answers] == ["0\n1\n", "0\n1\n2\n"]
    assert answers[0]["job"] != answers[1]["job"]


@pytest.mark.sdk("azure-ai-ml 1.28.1", "from registration to download")
def test_an_old_sdk(server: Server, project: Project) -> None:
    """1.28.1 speaks msrest, as all up to 1.32 do."""
    assert OLD_SDK.exists(), "run `make old-sdk` first (`make test` does)"
    project.files(2)
    project.script = "def run(files): return [open(file).read().strip() for file in files]"
    project.write()
    answer = result(run(OLD_SDK, server, project, "old-sdk"))
    assert answer["version"] == "1.28.1"
    assert answer["predictions"] == "0\n1\n"
    assert answer["failure"] == "job 'none': not found in this workspace"


FROM_CONFIG = """
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential
client = MLClient.from_config(DefaultAzureCredential())
print(client.workspace_name, client.datastores.get_default().name)
"""


@pytest.mark.sdk("`MLClient.from_config()`", 'after `eval "$(batchtwin env)"`, in any folder')
def test_env_is_enough_for_from_config(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nprint('own startup', file=sys.stderr)\n")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    shell = f"""
        set -eu
        eval "$('{COMMAND}' env)"; eval "$('{COMMAND}' env)"
        cd /; '{sys.executable}' -W ignore -c "$SCRIPT"
        eval "$('{COMMAND}' env --unset)"; echo "$PYTHONPATH"
    """
    env = {**server.environment, "PYTHONPATH": path, "SCRIPT": FROM_CONFIG}
    done = subprocess.run(["sh", "-c", shell], env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    expected = ["local workspaceblobstore", path.rstrip(os.pathsep)]
    assert done.stdout.splitlines() == expected, done.stderr
    assert done.stderr.count("own startup") == 4


def test_a_config_that_is_there_goes_first(server: Server, tmp_path: Path) -> None:
    names = {"subscription_id": "s", "resource_group": "g", "workspace_name": "mine"}
    (tmp_path / "config.json").write_text(json.dumps(names))
    env = {**server.environment, **server.connection.variables()}
    words = [sys.executable, "-W", "ignore", "-c", FROM_CONFIG]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "mine workspaceblobstore\n", done.stderr
