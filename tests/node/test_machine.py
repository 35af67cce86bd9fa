"""How many CPUs this process may use."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from batchtwin_node.machine import cpus
from support import COMMAND, DEADLINE, Project


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
def test_a_process_bound_to_one_cpu_runs_one_worker_with_one_thread(project: Project) -> None:
    project.files(2)
    project.settings = {"max_concurrency_per_instance": 2}
    project.script = """
        import os
        def run(mini_batch): return [os.environ["OMP_NUM_THREADS"]]
    """
    words: list[str | Path] = ["score", project.write(), "--input", project.inputs, "--output", project.folder / "job"]
    first = str(min(os.sched_getaffinity(0)))
    done = subprocess.run(
        ["taskset", "-c", first, COMMAND, *words], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    assert "using 1 worker instead of 2: only 1 CPU is available" in done.stderr
    assert (project.folder / "job/named-outputs/score/predictions.csv").read_text() == "1\n1\n"


@pytest.mark.parametrize(
    ("groups", "line", "expected"),
    [
        ({"a/b/cpu.max": "100000 100000"}, "0::/a/b", 1),
        ({"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b", 1),
        ({"cpu.max": "150000 100000"}, "0::/of/another/namespace", 2),
        ({"cpu,cpuacct/j/cpu.cfs_quota_us": "100000"}, "4:cpu,cpuacct:/j", 1),
        ({"cpu/cpu.cfs_quota_us": "-1"}, "1:cpu:/", 64),
        ({}, "0::/", 64),
    ],
)
def test_the_quota_of_a_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, str], line: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    for name, text in groups.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "own").write_text(f"{line}\n")
    assert cpus(tmp_path / "cgroup", tmp_path / "own") == expected
