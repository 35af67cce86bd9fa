"""The environment that a deployment asks for, and the one that it runs in."""

from __future__ import annotations

import json

import pytest
import yaml

from support import Finished, Project, batchtwin


def plan_asking(project: Project, *words: str) -> Finished:
    project.files(1)
    project.script = "def run(mini_batch): return mini_batch"
    path = project.write()
    data = yaml.safe_load(path.read_text())
    conda = {"dependencies": ["python=3.11", {"pip": ["pyyaml==0.1", "no-such-package"]}]}
    data["environment"] = {"image": "python:3.11", "conda_file": "conda.yaml"}
    (project.folder / "conda.yaml").write_text(yaml.safe_dump(conda))
    path.write_text(yaml.safe_dump(data))
    return batchtwin("plan", path, "--input", project.inputs, *words)


@pytest.mark.ours(
    "8", "Each difference between the conda file (or the model's requirements.txt) and this environment is named."
)
def test_differences_are_named(project: Project) -> None:
    done = plan_asking(project)
    assert done.code == 0
    assert "Warning: environment: pyyaml" in done.err
    assert "no-such-package is requested and not installed" in done.err
    (project.folder / "inputs").rename(project.folder / "i")
    project.inputs.mkdir()
    assert len(json.loads(plan_asking(project, "--json").out)["environment_differences"]) == 2


@pytest.mark.ours("8", "With --strict-environment a difference is an error, exit code 2.")
def test_strict(project: Project) -> None:
    done = plan_asking(project, "--strict-environment")
    assert done.code == 2
    assert "no-such-package is requested and not installed" in done.err
