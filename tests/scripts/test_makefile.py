"""The Makefile: its help, `clean` and `bench`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT

# What is removed; then what stays: environment, workspace, model, the way back to Azure.
MADE = (
    "outputs/1/x",
    "named-outputs/score/predictions.csv",
    "mlflow.db",
    "build/x",
    ".coverage.1",
    "src/__pycache__/x.pyc",
)
KEPT = (
    ".venv/bin/python",
    ".venv/lib/__pycache__/x.pyc",
    ".batchtwin/x",
    "model/MLmodel",
    ".endpoint-name",
    "data/uci/x",
)


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the Makefile, and with what it made and what it has to keep."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "scripts").mkdir()
    for name in ("clean.sh", "clean-images.sh", "help.awk"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    for name in MADE + KEPT:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def groups(text: str) -> dict[str, list[str]]:
    """Return the targets that the help lists, by group."""
    return {
        head: re.findall(r"^  ([a-z-]+) ", body, re.MULTILINE)
        for head, body in re.findall(r"^([A-Z]\w+)\n((?:  .*\n)+)", text, re.MULTILINE)
    }


def test_the_first_screen_has_at_most_twelve_targets_to_use(project: Path) -> None:
    listed = groups(make(project).stdout)
    assert list(listed) == ["Use", "Azure", "Develop", "Measure"]
    assert len(listed["Use"] + listed["Azure"]) <= 12
    assert {"train", "local-score", "deploy", "rehearse"} <= {*listed["Use"], *listed["Azure"]}
    assert make(project).stdout.count("\n") <= 40


def test_every_target_is_listed_once_with_what_it_does(project: Path) -> None:
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)(?! [A-Z]+ =)", (project / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  ([a-z-]+) +\S", make(project, "help", "ALL=1").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(set(targets))


def test_clean_removes_what_was_made_and_prints_it(project: Path) -> None:
    done = make(project, "clean")
    assert done.returncode == 0, done.stderr
    assert not [name for name in MADE if (project / name).exists()]
    assert not [name for name in KEPT if not (project / name).exists()]
    printed = done.stdout.splitlines()
    assert printed[:-1] == [
        f"removed {name}" for name in ("outputs", "named-outputs", "mlflow.db", "build", ".coverage.1")
    ]
    assert printed[-1] == "removed 1 folders __pycache__"
    assert make(project, "clean").stdout == "nothing to remove\n"


def test_distclean_removes_environments_and_workspace_too(project: Path) -> None:
    done = make(project, "distclean", "DOCKER=no-such-engine")
    assert done.returncode == 0, done.stderr
    assert not [name for name in (".venv", ".batchtwin", "data/uci") if (project / name).exists()]
    assert {"removed .venv", "removed .batchtwin", "removed data/uci"} <= set(done.stdout.splitlines())
    assert (project / "model/MLmodel").exists()
    assert (project / ".endpoint-name").exists()


def test_distclean_removes_the_images_that_were_built_and_prints_them(project: Path, tmp_path: Path) -> None:
    """The engine is a stand-in that has three images, one of them somebody's own."""
    images = tmp_path / "images"
    images.mkdir()
    for name in ("heart-classifier-batch:latest", "batchtwin:0123456789abcdef", "batchtwin:own"):
        (images / name).touch()
    client = tmp_path / "client"
    client.write_text(
        f"#!/bin/sh\ncd '{images}'\ncase $2 in\n"
        'ls) case "$*" in *"label=org.opencontainers.image.title=environment of a batch deployment"*) '
        "ls -d batchtwin:0* ;; esac ;;\ninspect) test -e $3 ;;\nrm) rm $3 ;;\nesac 2>/dev/null\n"
    )
    client.chmod(0o755)
    done = make(project, "distclean", f"DOCKER={client}")
    assert done.returncode == 0, done.stderr
    removed = [line for line in done.stdout.splitlines() if "image" in line]
    assert removed == [
        "removed image heart-classifier-batch:latest",
        "removed image batchtwin:0123456789abcdef",
    ]
    assert [path.name for path in images.iterdir()] == ["batchtwin:own"]
    assert make(project, "distclean", f"DOCKER={client}").stdout == "nothing to remove\n"


@pytest.mark.parametrize(
    "what", ["all", "check", "report", "ledger", "lock", "parent", "scale", "scaling", "serve", "away"]
)
def test_every_benchmark_names_a_module(what: str) -> None:
    plan = make(ROOT, "--dry-run", "--always-make", "bench", f"WHAT={what}", "BENCH_FLAGS=")
    assert plan.returncode == 0, plan.stderr
    [module] = re.findall(r"bin/python -m benchmarks\.(\w+)", plan.stdout)
    assert (ROOT / f"benchmarks/{module}.py").is_file()


def test_an_unknown_benchmark_is_refused(project: Path) -> None:
    done = make(project, "--old-file", ".venv/.installed-dev", "bench", "WHAT=speed")
    assert done.returncode == 2
    assert "WHAT=speed: choose one of all check report ledger" in done.stderr
