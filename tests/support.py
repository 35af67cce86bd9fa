"""A throw-away project for tests: deployment, script, model and input on disk, scored by the real command."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from commands import COMMAND as COMMAND
from commands import run

ROOT = Path(__file__).resolve().parent.parent
# Nothing here takes that long; a test that hangs should fail, not stall.
DEADLINE = 300
# In a script with a folder THERE: nobody's first mini-batch ends before four workers are there.
ALL_FOUR_FIRST = """
    import os, time
    def all_four_first():
        open(f"THERE/{os.getpid()}", "w").close()
        while len(os.listdir("THERE")) < 4:
            time.sleep(0.01)
"""
# Set by the fixture that starts a cluster: its address, and the environment that it was started with.
RAY, RAY_STARTED_WITH = "BATCHTWIN_TEST_RAY", "BATCHTWIN_TEST_RAY_STARTED_WITH"


@dataclass(frozen=True)
class Finished:
    """A `batchtwin` command that has ended."""

    code: int
    out: str
    err: str
    output: Path

    @property
    def predictions(self) -> str:
        """The text of predictions.csv."""
        return (self.output / "named-outputs/score/predictions.csv").read_text()

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The records of failures.jsonl; empty without the file."""
        path = self.output / "failures.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def log(self, pattern: str) -> str:
        """The text of the log files that match, in order of their names."""
        return "".join(path.read_text() for path in sorted((self.output / "logs").glob(pattern)))


def pool_words(env: Mapping[str, str] | None = None) -> list[str]:
    """The words for the pool that tests run with; on a cluster, with the variables that a test has set."""
    address = os.environ.get(RAY)
    if address is None:
        return []
    known: dict[str, str] = json.loads(os.environ[RAY_STARTED_WITH])
    now = {**os.environ, **(env or {})}
    changed = [name for name, value in now.items() if known.get(name) != value]
    names = [name for name in changed if name not in {RAY, RAY_STARTED_WITH} and not name.startswith("PYTEST")]
    return ["--pool", "ray", "--ray-address", address, *(word for name in names for word in ("--ray-env", name))]


def batchtwin(*words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Finished:
    """Run the command line as a user does."""
    code, out, err = run([*map(str, words)], cwd or Path.cwd(), {**os.environ, **(env or {})}, DEADLINE)
    output = Path(words[words.index("--output") + 1]) if "--output" in words else Path()
    return Finished(code, out, err, output)


def warm() -> dict[str, str]:
    """Variables with which jobs of one model share its fork server, for tests of something else than how jobs start."""
    return {} if RAY in os.environ else {"BATCHTWIN_WARM": "1"}


def wait_for(condition: Callable[[], bool]) -> None:
    """Look every few milliseconds, less often the longer it takes, until `condition` holds.

    What is waited for needs the CPU.

    Raises:
        AssertionError: it does not, for too long.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < DEADLINE, "waited too long"
        time.sleep(min(max(0.005, waited / 50), 0.03))


def is_over(process: psutil.Process | int) -> bool:
    """Whether a process has ended, be it noticed by its parent or not."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between two looks
        return True


def wait_until_over(pid: int) -> None:
    """Wait until a process has ended, whoever its parent is, and whenever that takes notice.

    Raises:
        AssertionError: it does not, for too long.
    """
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            assert poll.poll(DEADLINE * 1000), f"process {pid} does not end"
        finally:
            os.close(descriptor)


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Be nobody for a while, where the tests run as root; gives a folder of nobody's."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        if os.getuid():
            yield Path(folder)
            return
        os.chmod(folder, 0o755)  # noqa: S103 - of the test's own
        os.chown(folder, nobody, nobody)
        os.setresuid(nobody, nobody, 0)
        try:
            yield Path(folder)
        finally:
            os.setresuid(0, 0, 0)


@dataclass
class Project:
    """`settings` go into the deployment's settings block; `script` is the scoring script's text, None for none."""

    folder: Path
    script: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    model: Path | None = None

    def __post_init__(self) -> None:
        self.inputs = self.folder / "inputs"
        self.inputs.mkdir(parents=True)
        if self.model is None:
            self.model = self.folder / "model"
            self.model.mkdir()
            (self.model / "weights.txt").write_text("42")

    def files(self, count: int) -> list[Path]:
        """Write `count` input files, 00.txt and so on, each holding its own number."""
        paths = [self.inputs / f"{number:02}.txt" for number in range(count)]
        for number, path in enumerate(paths):
            path.write_text(f"{number}\n")
        return paths

    def write(self) -> Path:
        """Write the deployment, and the script if there is one."""
        data: dict[str, Any] = {
            "type": "model",
            "name": "test-deployment",
            "endpoint_name": "test-endpoint",
            "model": {"path": str(self.model)},
            "compute": "azureml:cluster",
            "settings": {"mini_batch_size": 1, **self.settings},
        }
        if self.script is not None:
            code = self.folder / "code"
            code.mkdir(exist_ok=True)
            (code / "driver.py").write_text(textwrap.dedent(self.script))
            data["code_configuration"] = {"code": "code", "scoring_script": "driver.py"}
            data["environment"] = {"name": "test", "image": "python:3.11"}
        path = self.folder / "deployment.yml"
        path.write_text(yaml.safe_dump(data))
        return path

    def words(self, *words: str | Path, env: Mapping[str, str] | None = None) -> list[str | Path]:
        """The words of `batchtwin score` for this project; `env` is what it will be run with."""
        default = [] if "--workers" in words else ["--workers", "2"]
        pool = [] if "--pool" in words else pool_words(env)
        return ["score", self.write(), "--input", self.inputs, "--output", self.folder / "job", *default, *pool, *words]

    def score(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Finished:
        """Score the project's input, with two workers unless told otherwise."""
        return batchtwin(*self.words(*words, env=env), env=env)

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start a job with four workers; return when it runs, which is when the first rows are here, or has ended."""
        command = [str(COMMAND), *map(str, self.words("--workers", "4", *words))]
        job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        segments = self.folder / "job/segments"
        wait_for(lambda: any(path.stat().st_size for path in segments.glob("*")) or job.poll() is not None)
        return job

    def end(self, job: subprocess.Popen[str]) -> Finished:
        """Wait for the end of a job that was started."""
        out, err = job.communicate(timeout=DEADLINE)
        return Finished(job.returncode, out, err, self.folder / "job")
