"""Many tiny mini-batches: time of each and the parent's peak memory (`make bench WHAT=scale`)."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEPLOYMENT = """\
type: model
name: scale
endpoint_name: scale
model: {path: model}
compute: azureml:cluster
code_configuration: {code: code, scoring_script: driver.py}
environment: {name: none, image: "none:1"}
settings: {mini_batch_size: 1}
"""
SCRIPT = """\
import os
def run(mini_batch):
    return [os.path.basename(path) for path in mini_batch]
"""


def make(folder: Path, count: int) -> None:
    """Write a deployment with a trivial script, and `count` files."""
    for name in ("model", "code", "in"):
        (folder / name).mkdir()
    (folder / "deployment.yml").write_text(DEPLOYMENT)
    (folder / "code/driver.py").write_text(SCRIPT)
    (folder / "model/weights").write_text("1")
    for number in range(count):
        (folder / f"in/{number:08}.txt").write_text("1\n")


def main() -> int:
    """Make the files, score them, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mini-batches", type=int, default=100_000)
    count = parser.parse_args().mini_batches
    with tempfile.TemporaryDirectory(prefix="batchtwin-bench-") as name:
        folder = Path(name)
        make(folder, count)
        words = ["score", folder / "deployment.yml", "--input", folder / "in", "--output", folder / "out"]
        command = list(map(str, [Path(sys.executable).with_name("batchtwin"), *words, "--workers", "2"]))
        began = time.perf_counter()
        job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
        _, status, usage = os.wait4(job.pid, 0)
        seconds = time.perf_counter() - began
    job.returncode = os.waitstatus_to_exitcode(status)
    print(f"{count:,} mini-batches: {seconds:.1f} s, {seconds / count * 1e3:.3f} ms each")
    print(f"parent: {usage.ru_maxrss / 1024:.0f} MiB at most, {usage.ru_utime + usage.ru_stime:.1f} s of CPU")
    return job.returncode


if __name__ == "__main__":
    sys.exit(main())
