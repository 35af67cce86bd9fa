"""Many mini-batches: the parent stays small; long ones first, in the same place of the output."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from support import COMMAND, Project

MANY = 20_000
MEBIBYTE = 1 << 20


def peak_of(pid: int) -> int:
    """The most memory that a living process has had, in bytes; what `wait4` tells begins with that of its parent."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def test_the_parent_of_many_mini_batches_is_small(project: Project) -> None:
    for number in range(MANY):
        (project.inputs / f"{number:05}.txt").write_text("x")
    project.script = "def run(mini_batch): return [path[-9:] for path in mini_batch]"
    with subprocess.Popen([COMMAND, *map(str, project.words())], stdout=subprocess.DEVNULL) as job:
        peak = 0
        while job.poll() is None:
            peak = peak_of(job.pid) or peak
            with suppress(subprocess.TimeoutExpired):
                job.wait(0.02)
    assert job.returncode == 0
    lines = (project.folder / "job/named-outputs/score/predictions.csv").read_text().splitlines()
    assert lines == [f"{number:05}.txt" for number in range(MANY)]
    # Some 40 MiB are Python and its libraries; 5 KiB for each mini-batch is more than twice what it takes.
    assert 0 < peak < 60 * MEBIBYTE + MANY * 5 * 1024


def test_the_longest_first_the_output_in_order(project: Project) -> None:
    for number, size in enumerate([1, 2, 9, 1, 40, 3]):
        (project.inputs / f"{number}.bin").write_bytes(b"x" * size * MEBIBYTE)
    project.script = """
        import os
        def run(mini_batch):
            print(*map(os.path.basename, mini_batch))
            return [os.path.basename(path) for path in mini_batch]
    """
    done = project.score("--workers", "1")
    assert done.log("user/stdout/*/*").split() == ["4.bin", "2.bin", "1.bin", "5.bin", "0.bin", "3.bin"]
    assert done.predictions.split() == [f"{number}.bin" for number in range(6)]
