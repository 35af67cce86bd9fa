"""What the image holds, and what a container that `batchtwin score --image` starts may do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from batchtwin.engine.prepare import Prepared
from support import ROOT

pytestmark = pytest.mark.container

LIMIT = 1_100_000_000  # bytes
Docker = Callable[..., str]
Inside = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_size(docker: Docker, image: str) -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) <= LIMIT


def test_what_the_image_says_of_itself(docker: Docker, image: str) -> None:
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image))
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["batchtwin"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["version"] == version("batchtwin")
    assert labels["licenses"] == "MIT"
    assert labels["title"] == "batchtwin"
    assert labels["description"]
    assert labels["base.name"]
    assert not [text for text in config["Env"] if re.match("(PIP|UV)_.*(INDEX|LINKS|PASSWORD|TOKEN)", text)]


def test_the_entry_point(docker: Docker, image: str) -> None:
    assert docker("run", "--rm", image, "--version") == f"batchtwin {version('batchtwin')}"
    assert "Usage: batchtwin" in docker("run", "--rm", image)


def installed(docker: Docker, image: str) -> dict[str, str]:
    listed = docker("run", "--rm", "--entrypoint", "python", image, "-m", "pip", "list", "--format", "json")
    return {re.sub("[-_.]+", "-", entry["name"]).lower(): entry["version"] for entry in json.loads(listed)}


def test_what_is_installed_is_the_part_of_the_lock_that_scoring_needs(docker: Docker, image: str) -> None:
    # pip and setuptools come with Python, or with conda.
    versions = {
        name: at for name, at in installed(docker, image).items() if name not in {"batchtwin", "pip", "setuptools"}
    }
    listed = subprocess.run(
        [sys.executable, ROOT / "scripts/lock.py", "scoring"], capture_output=True, text=True, check=True
    ).stdout
    pins = re.findall(r"^([\w.-]+)(?:\[.*?\])?==(\S+)( ;.*)?", listed, flags=re.MULTILINE)
    assert set(versions.items()) <= {(name, at) for name, at, _ in pins}
    # What has a marker may be for other machines.
    assert versions.keys() >= {name for name, _, marker in pins if not marker}
    assert not [name for name in versions if "nvidia" in name]


def test_everything_that_the_conda_file_lists_is_installed(docker: Docker, image: str) -> None:
    versions = installed(docker, image)
    dependencies = yaml.safe_load((ROOT / "environment/conda.yaml").read_text())["dependencies"]
    [lines] = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    for line in lines:
        name, _, at = line.partition("==")
        assert versions[name] == at
    script = "import azureml.core, mlflow, numpy, pandas, PIL.Image, pyarrow.parquet, sklearn, skops.io, xgboost"
    docker("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-W", "ignore", "-c", script)


def test_what_jobs_import_is_compiled(docker: Docker, image: str) -> None:
    own = "batchtwin.cli, batchtwin.engine.resume, batchtwin_node.forkserver.server, batchtwin_node.readers.csv_file"
    script = f"import {own}, threadpoolctl, mlflow.pyfunc, pandas, skops.io, xgboost, argparse"
    words = ("--read-only", "--entrypoint", "sh", image, "-c", f"python -v -W ignore -c '{script}' 2>&1")
    loaded = re.findall(r"code object from '?(.*?)'?$", docker("run", "--rm", *words), flags=re.MULTILINE)
    assert len(loaded) > 500
    assert [path for path in loaded if not path.endswith(".pyc")] == []


def test_loading_a_model_does_not_import_all_of_scikit_learn(docker: Docker, image: str) -> None:
    code = (
        "from batchtwin_node.driver.skops_startup import import_skops as load; load()\nimport sys\nprint(*sys.modules)"
    )
    words = ("--read-only", "--entrypoint", "python", image, "-W", "ignore", "-c", code)
    modules = docker("run", "--rm", *words).split()
    assert "skops.io" in modules
    assert "sklearn.gaussian_process" not in modules


def test_the_job_is_not_root_and_has_no_way_up(inside: Inside) -> None:
    assert inside("id", "-u").stdout == "10001\n"
    status = dict(line.split(":\t", 1) for line in inside("cat", "/proc/self/status").stdout.splitlines())
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_what_workers_write_can_be_written(inside: Inside, prepared: Prepared) -> None:
    output = prepared.output
    folders = (output.score, output.segments, output.scratch, output.logs / "user")
    done = inside("touch", *(str(folder / "new") for folder in folders), "/tmp/new")  # noqa: S108 - in the container
    assert done.returncode == 0, done.stderr
    assert (output.score / "new").stat().st_uid == os.getuid(), "the output is the caller's when the job has ended"


@pytest.mark.parametrize("uid", [0, 10001, 12345])
def test_nothing_else_can_be_written(inside: Inside, prepared: Prepared, uid: int) -> None:
    """Root, whom no permission stops, is told that the file systems are read-only."""
    data = Path(prepared.inputs.root)
    for path in (
        data / "new",
        data / "00.txt",
        prepared.output.models / "model/new",
        prepared.output.models / "model/weights.txt",
        "/opt/env/new",
        "/new",
    ):
        tried = inside("touch", str(path), uid=uid)
        assert tried.returncode == 1, f"{path}: {tried}"
        assert uid or "Read-only file system" in tried.stderr, f"{path}: {tried}"
    # Below /tmp, what lies between the mounts is in the container's own temporary file system.
    inside("touch", str(prepared.output.root / "new"), uid=uid)
    assert not (prepared.output.root / "new").exists()


def test_there_is_no_network(inside: Inside) -> None:
    assert inside("ls", "/sys/class/net").stdout.split() == ["lo"]
    script = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    assert "Network is unreachable" in inside("python", "-c", script).stderr
