"""Jobs of a soak: what befalls each file by chance, the code that does it, and what must come out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import Project

# More than the kills and the fates of one mini-batch can take from it.
TRIES = 12
# Of a script and of a model: what happens by name, and whether this is one of the first `times` meetings.
ACTS = r"""
    import ctypes, os, pathlib, signal, subprocess, sys, time
    HOME = pathlib.Path(os.environ.get("SOAK_HOME", "."))

    def first(name, times):
        if times < 0:
            return True
        for number in range(times):
            try:
                (HOME / f"{name}.{number}").touch(exist_ok=False)
                return True
            except FileExistsError:
                pass
        return False

    def child(leaves_group):
        if not os.fork():
            if leaves_group:
                os.setsid()
                if os.fork():
                    os._exit(0)
            time.sleep(3600)
            os._exit(0)

    def zombies():
        for _ in range(50):
            if not os.fork():
                os._exit(0)

    def raise_(text):
        raise ValueError(text)

    def exhausts():
        held = [os.open(os.devnull, os.O_RDONLY) for _ in range(200)]
        raise OSError(24, "Too many open files")

    def hang_in_c():
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
        ctypes.PyDLL(None).sleep(3600)

    def removes_folder():
        try:
            os.rmdir(os.getcwd())
        except OSError:  # it was removed, or left, for another file
            pass

    ACTS = {
        "raises": lambda: raise_("a reason"),
        "raises megabytes": lambda: raise_("x\n" * (1 << 22)),
        "sys.exit": lambda: sys.exit(3),
        "sys.exit 0": lambda: sys.exit(0),
        "os._exit": lambda: os._exit(0),
        "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "group is killed": lambda: os.killpg(0, signal.SIGKILL),
        "segfault": lambda: ctypes.string_at(0),
        "abort": os.abort,
        "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "hangs": lambda: time.sleep(3600),
        "hangs in C": hang_in_c,
        "closes all": lambda: os.closerange(0, 1024),
        "exhausts": exhausts,
        "slow": lambda: time.sleep(0.3),
        "forks": lambda: child(False),
        "daemon": lambda: child(True),
        "starts": lambda: subprocess.Popen(["sleep", "3600"], start_new_session=False) and None,
        "zombies": zombies,
        "prints lines": lambda: print("a line\n" * (1 << 19)),
        "prints one line": lambda: print("x" * (1 << 22), file=sys.stderr),
        "prints bytes": lambda: os.write(1, bytes(range(256)) * (1 << 12)) and None,
        "closes streams": lambda: (sys.stdout.close(), sys.stderr.close()) and None,
        "leaves": lambda: os.chdir("/"),
        "removes its folder": removes_folder,
    }
"""
SCRIPT = (
    ACTS
    + """
    import json
    SETTINGS = json.loads((HOME / "settings.json").read_text())

    def init():
        if first("init", SETTINGS["init_raises"]):
            raise RuntimeError("init")
        if SETTINGS["init_forks"]:
            child(False)

    def run(mini_batch):
        rows, is_short = [], False
        for path in map(pathlib.Path, mini_batch):
            fate = json.loads(path.read_text())
            times = fate["times"]
            if fate["act"] == "heals":
                if not (HOME / "healed").exists():
                    raise ValueError("not yet")
            elif fate["act"] == "short":
                is_short = True
            elif fate["act"] == "wrong type":
                if first(path.name, times):
                    return {"no": "list"}
            elif fate["act"] and first(path.name, times):
                ACTS[fate["act"]]()
            rows.append("\\n".join(f"{path.name} {row}" for row in range(fate["rows"])))
        return rows[:-1] if is_short else rows

    def shutdown():
        if SETTINGS["shutdown_raises"]:
            raise RuntimeError("shutdown")
"""
)
MODEL = (
    "    import mlflow, numpy\n"
    + ACTS
    + """
    BY_NUMBER = ["", "raises", "raises", "os._exit", "sys.exit", "killed", "hangs", "forks", "daemon", "prints lines"]

    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            x = model_input["x"].to_numpy()
            for number in sorted({int(-value) for value in x if value < 0}):
                # The first raises always, the others once.
                if first(f"{number}", -1 if number == 1 else 1):
                    ACTS[BY_NUMBER[number]]()
            return 2 * x + 1

    mlflow.models.set_model(Model())
"""
)
SAVE = """
    import sys, mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    more = {"signature": ModelSignature(Schema([ColSpec("double", "x")])), "pip_requirements": []}
    mlflow.pyfunc.save_model(sys.argv[1], python_model=sys.argv[2], **more)
"""
ENDS = ["raises", "raises megabytes", "sys.exit", "sys.exit 0", "os._exit", "killed", "group is killed", "segfault"]
ENDS += ["abort", "closes all", "exhausts", "wrong type"]
GOES_ON = ["slow", "forks", "daemon", "starts", "zombies", "prints lines", "prints one line", "prints bytes"]
GOES_ON += ["closes streams", "leaves", "removes its folder"]
HANGS = ["stopped", "hangs", "hangs in C"]


@dataclass(frozen=True)
class End:
    """What must come out: the predictions, how many items fail, and the names of those that are known by name."""

    predictions: str
    failed: int = 0
    names: frozenset[str] = frozenset()


@dataclass
class SoakJob:
    """A job by chance. `end` is how it must end, `healed` how once what heals has healed, if anything does."""

    kind: str
    project: Project
    items: int
    end: End
    words: list[str] = field(default_factory=list)
    healed: End | None = None

    @property
    def home(self) -> Path:
        """Where files are noted that were met before."""
        return self.project.folder / "home"

    @property
    def completes(self) -> bool:
        """Whether the job completes: anything succeeds."""
        return self.end.failed < self.items


def save_model(folder: Path) -> Path:
    """Save the model of the jobs that need one; return its folder."""
    code = folder / "model.py"
    code.write_text(textwrap.dedent(MODEL))
    words = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SAVE), str(folder / "saved"), str(code)]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "saved"


def make_job(folder: Path, model: Path, chance: random.Random) -> SoakJob:
    """Write a job into `folder`."""
    kind = chance.choices(["script", "driver", "parts"], [6, 2, 1])[0]
    job = {"script": script_job, "driver": driver_job, "parts": parts_job}[kind](folder, model, chance)
    job.home.mkdir()
    settings = {
        "init_raises": chance.choice([0, 0, 1, 2]),
        "init_forks": chance.random() < 0.2,
        "shutdown_raises": chance.random() < 0.2,
    }
    (job.home / "settings.json").write_text(json.dumps(settings))
    job.words += ["--workers", str(chance.choice([1, 2, 2, 3]))]
    return job


def _settings(size: int, timeout: int) -> dict[str, Any]:
    retries = {"max_retries": TRIES, "timeout": timeout}
    return {"mini_batch_size": size, "retry_settings": retries, "error_threshold": -1}


def script_job(folder: Path, model: Path, chance: random.Random) -> SoakJob:
    """Return a job whose script does to each file what the file says."""
    size = chance.randint(1, 4)
    project = Project(folder, SCRIPT, _settings(size, 4))
    fates = [fate(chance) for _ in range(chance.randint(5, 30))]
    if chance.random() < 0.3:
        fates[chance.randrange(len(fates))] = {"act": chance.choice(HANGS), "times": 1, "rows": 3}
    for number, what in enumerate(fates):
        (project.inputs / f"{number:02}.txt").write_text(json.dumps(what))
    job = SoakJob("script", project, len(fates), end_of(fates, size, is_healed=False))
    if any(what["act"] == "heals" for what in fates):
        job.healed = end_of(fates, size, is_healed=True)
    return job


def fate(chance: random.Random) -> dict[str, Any]:
    """Return what befalls a file: nothing, or something a few times or always."""
    luck = chance.random()
    rows = chance.choice([1, 3, 3, 100, 3000])
    if luck < 0.5:
        return {"act": "", "times": 0, "rows": rows}
    if luck < 0.7:
        return {"act": chance.choice(GOES_ON), "times": chance.choice([1, -1]), "rows": rows}
    if luck < 0.88:
        return {"act": chance.choice(ENDS), "times": chance.choice([1, 2]), "rows": rows}
    return {"act": chance.choice(["heals", "short", "short", chance.choice(ENDS)]), "times": -1, "rows": rows}


def end_of(fates: Sequence[dict[str, Any]], size: int, *, is_healed: bool) -> End:
    """Return how a script job must end."""
    text, failed, names = "", 0, frozenset[str]()
    for start in range(0, len(fates), size):
        batch = {f"{start + number:02}.txt": what for number, what in enumerate(fates[start : start + size])}
        acts = [what["act"] for what in batch.values()]
        always = [what["act"] for what in batch.values() if what["times"] < 0 and what["act"] in ENDS]
        if always or ("heals" in acts and not is_healed):
            failed += len(batch)
            names |= {*batch}
            continue
        rows = ["".join(f"{name} {row}\n" for row in range(what["rows"])) for name, what in batch.items()]
        if "short" in acts:
            rows, failed = rows[:-1], failed + 1
        text += "".join(rows)
    return End(text, failed, names)


def driver_job(folder: Path, model: Path, chance: random.Random) -> SoakJob:
    """Return a job of the MLflow driver, some of whose files are bad."""
    size = chance.randint(1, 4)
    project = Project(folder, None, _settings(size, 8), model)
    once = chance.sample(range(2, 10), chance.randint(0, 4))
    names = [f"{number:02}.csv" for number in range(chance.randint(5, 15))]
    values = {name: [row / 8 for row in range(chance.choice([0, 1, 50, 3000]))] for name in names}
    bad = {name for name in names if chance.random() < 0.15}
    for number in once:
        values[chance.choice(names)] += [-float(number), 1.5]
    if chance.random() < 0.5:
        values[chance.choice(names)] += [-1.0]
    for name in names:
        rows = [*map(str, values[name]), *(["no number"] if name in bad else [])]
        (project.inputs / name).write_text("".join(f"{row}\n" for row in ["x", *rows]))
    failed = set(bad)
    for start in range(0, len(names), size):
        batch = {*names[start : start + size]}
        if any(-1.0 in values[name] for name in batch - bad):
            failed |= batch
    predictions = "".join(lines(name, values[name]) for name in names if name not in failed)
    end = End(predictions, len(failed), frozenset(failed))
    return SoakJob("driver", project, len(names), end, ["--bad-files", "quarantine"])


def parts_job(folder: Path, model: Path, chance: random.Random) -> SoakJob:
    """Return a job of large files in parts."""
    project = Project(folder, None, _settings(chance.randint(1, 2), 8), model)
    predictions = ""
    for name in ("a.csv", "b.csv", "c.parquet")[: chance.randint(1, 3)]:
        values = [row / 8 for row in range(chance.choice([50, 1000, 5000]))]
        for number in chance.sample(range(2, 10), chance.randint(0, 2)):
            values.insert(chance.randrange(len(values)), -float(number))
        _write_table(project.inputs / name, values)
        predictions += lines(name, values)
    # The items are parts, of any number: none fails.
    return SoakJob("parts", project, 1, End(predictions), ["--split-rows", str(chance.choice([100, 300, 1000]))])


def _write_table(path: Path, values: list[float]) -> None:
    if path.suffix == ".csv":
        path.write_text("".join(f"{row}\n" for row in ["x", *values]))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": values}), path, row_group_size=100)


def lines(name: str, values: list[float]) -> str:
    """Return the predictions of a file, as the driver writes them."""
    return "".join(f"{row},{2 * value + 1!r},{name}\n" for row, value in enumerate(values))
