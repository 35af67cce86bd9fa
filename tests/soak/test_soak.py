"""Jobs by chance, whose processes are hit at random and which are resumed: nothing lost, doubled, hung or left.

`make soak` goes on for SOAK_SECONDS. The seed is printed; BATCHTWIN_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from soak.jobs import End, SoakJob, make_job, save_model
from soak.kills import Budget, adopted_orphans, left_over, run_and_hit

from support import COMMAND, Finished

SECONDS = float(os.environ.get("BATCHTWIN_SOAK_SECONDS", "20"))
# Where jobs with findings are kept.
KEEP = os.environ.get("BATCHTWIN_SOAK_FOLDER")
# Names in the folder of a job that has ended; the rest is to be gone.
STAYS = {".lock", "job.sqlite", "logs", "named-outputs", "manifest.json", "failures.jsonl", "report.html"}
# A run that fails though nothing is wrong with the job: its nodes were lost.
LOST_NODE = "the node was lost"
RUNS = 20


@dataclass
class Soak:
    """The soak so far: what was done, and what was found."""

    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def find(self, job: SoakJob, kind: str, text: str) -> None:
        """Note a finding."""
        self.done[kind] += 1
        self.found.append(f"{kind}: {job.project.folder} ({job.kind}): {text}")


def command(soak: Soak, job: SoakJob, budget: Budget, words: Sequence[str | Path]) -> int | None:
    """Run a command of a job, hitting it; return its exit code, None if it hung."""
    scratch = job.project.folder / "tmp"
    scratch.mkdir(exist_ok=True)
    env = {**os.environ, "SOAK_HOME": str(job.home), "TMPDIR": str(scratch)}
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with (job.project.folder / "said").open("ab") as log:
        log.write(f"$ {' '.join(map(str, words))}\n".encode())
        log.flush()
        process = subprocess.Popen([str(COMMAND), *map(str, words)], stdout=log, stderr=log, env=env)
        ended = run_and_hit(process, soak.chance, budget)
        log.write(f"ended with {process.returncode}\n".encode())
    soak.done["runs"] += 1
    if not ended:
        soak.find(job, "hung", " ".join(map(str, words)))
    for text in left_over(before):
        soak.find(job, "process left", text)
    return process.returncode if ended else None


def until_it_ends(soak: Soak, job: SoakJob, budget: Budget, more: list[str]) -> int | None:
    """Score, or with `more` resume, again and again until the job has ended by itself."""
    output = job.project.folder / "job"
    for _ in range(RUNS):
        resumes = (output / "job.sqlite").exists()
        words: Sequence[str | Path] = ["resume", output, *more] if resumes else job.project.words(*job.words)
        start = (job.project.folder / "said").stat().st_size if (job.project.folder / "said").exists() else 0
        code = command(soak, job, budget, words)
        if code is None:
            return None
        said = (job.project.folder / "said").read_bytes()[start:].decode(errors="replace")
        if code in {-9, -15, -2, -11, 130} or (code == 1 and LOST_NODE in said):
            continue
        return code
    soak.find(job, "hung", f"not at its end after {RUNS} runs")
    return None


def check(soak: Soak, job: SoakJob, code: int | None) -> None:
    """Compare what a job left with what must be there."""
    if code is None:
        return
    output, expected = job.project.folder / "job", job.end.predictions
    if code != (0 if job.completes else 1):
        soak.find(job, "wrong end", f"exit code {code}")
        return
    predictions = output / "named-outputs/score/predictions.csv"
    rows = predictions.read_text() if predictions.exists() else ""
    if rows != (expected if job.completes else ""):
        actual, wanted = Counter(rows.splitlines()), Counter(expected.splitlines())
        if lost := wanted - actual:
            soak.find(job, "lost", f"{lost.total()} rows, such as {min(lost)}")
        if doubled := actual - wanted:
            soak.find(job, "doubled", f"{doubled.total()} rows, such as {min(doubled)}")
        if not lost and not doubled:
            soak.find(job, "lost", "the order of rows")
    soak.done["rows"] += rows.count("\n")
    check_failures(soak, job, output)
    check_files(soak, job, output)


def check_failures(soak: Soak, job: SoakJob, output: Path) -> None:
    """Compare the files that a job says failed with those that must."""
    failures = Finished(0, "", "", output).failures
    named = Counter(os.path.basename(record["file"]) for record in failures if "file" in record)
    short = sum(record["failed"] for record in failures if "file" not in record)
    if named != Counter(job.end.names) or named.total() + short != job.end.failed:
        soak.find(job, "wrong failures", f"{sorted(named.elements())} and {short}, not {sorted(job.end.names)}")


def check_files(soak: Soak, job: SoakJob, output: Path) -> None:
    """Look for files that a job left, and for those that it must leave."""
    left = {path.name for path in output.iterdir()} - STAYS - (set() if job.completes else {"segments"})
    left |= {path.name for path in (job.project.folder / "tmp").iterdir()}
    left |= {path.name for path in (output / "named-outputs/score").iterdir()} - {"predictions.csv"}
    if left:
        soak.find(job, "file left", ", ".join(sorted(left)))
    stays = ["logs/job_result.txt", "report.html", *(["manifest.json"] if job.completes else [])]
    if lacks := [name for name in stays if not (output / name).exists()]:
        soak.find(job, "file missing", ", ".join(lacks))
        return
    counts = re.search(r"(\d+) succeeded, (\d+) failed", (output / stays[0]).read_text())
    if counts is None or int(counts[2]) != job.end.failed:
        soak.find(job, "wrong counts", f"{counts and counts[0]}, not {job.end.failed} failed")


def left_alone(soak: Soak, job: SoakJob) -> None:
    """A finished job: verify finds nothing, and resume does nothing."""
    output = job.project.folder / "job"
    predictions = output / "named-outputs/score/predictions.csv"
    before = predictions.stat().st_mtime_ns
    for name in ("verify", "resume"):
        code = command(soak, job, Budget(Counter()), [name, output])
        if code != 0:
            soak.find(job, "wrong end", f"{name} of a finished job: exit code {code}")
    if predictions.stat().st_mtime_ns != before:
        soak.find(job, "doubled", "resume of a finished job wrote predictions")


def one_job(soak: Soak, folder: Path, model: Path) -> None:
    """Make a job, have it end, check it; then heal it, if it can be."""
    job = make_job(folder, model, soak.chance)
    found, budget = len(soak.found), Budget()
    code = until_it_ends(soak, job, budget, [])
    check(soak, job, code)
    if code == 0 and job.healed is not None:
        heal(soak, job, budget, job.healed)
    elif code == 0:
        left_alone(soak, job)
    soak.done.update(budget.done)
    soak.done[f"jobs of a {job.kind}"] += 1
    if len(soak.found) == found:
        shutil.rmtree(folder)


def heal(soak: Soak, job: SoakJob, budget: Budget, end: End) -> None:
    """Run what failed again, now that what heals has healed."""
    (job.home / "healed").touch()
    budget.left.update(controller=2, node=1, child=2)
    job.end = end
    check(soak, job, until_it_ends(soak, job, budget, ["--retry-failed"]))
    soak.done["retried jobs"] += 1


@pytest.fixture
def soak_folder(tmp_path: Path) -> Iterator[Path]:
    folder = Path(KEEP) if KEEP else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    with adopted_orphans():
        yield folder


@pytest.mark.local
def test_soak(soak_folder: Path, record_property: Callable[[str, object], None]) -> None:
    seed = int(os.environ.get("BATCHTWIN_SEED", random.SystemRandom().randrange(2**32)))
    soak = Soak(random.Random(seed))  # noqa: S311 - not for secrets
    model = save_model(soak_folder)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        one_job(
            soak, soak_folder / f"job{sum(soak.done[name] for name in soak.done if name.startswith('jobs'))}", model
        )
    figures = ", ".join(f"{number} {name}" for name, number in sorted(soak.done.items()))
    record_property("note", f"soak: BATCHTWIN_SEED={seed}: {figures}")
    assert not soak.found, "\n".join(soak.found)
