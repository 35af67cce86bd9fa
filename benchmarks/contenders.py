"""Who is measured, on which sets, by which command; why somebody cannot be run here."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.measure import beside_python
from benchmarks.sets import BIG, ONE, QUARTER, ROOT, SMALL, TINY, WIDE, DataSet

SETS = (TINY, SMALL, BIG, ONE, WIDE, QUARTER)
HERE = ROOT / "benchmarks"
CORES = os.cpu_count() or 1

Command = Callable[[DataSet, Path, Path], Sequence[str]]
"""Set, folder of its files, folder for what is written -> words of the command."""
EVERY = ("TINY", "SMALL", "BIG", "ONE")
PER_FILE = "a process, and a model to load, for each file; TINY shows what one takes"
ONE_TASK = {"ONE": "one file is one task, of one process: the pandas loop shows what that takes"}
ON_SMALL = {"SMALL": "TINY shows its start, BIG its rate"}


@dataclass(frozen=True)
class Contender:
    """One way to do the job. `answer` is where it leaves its lines, below the folder for what it writes."""

    key: str
    title: str
    command: Command
    sets: Sequence[str] = EVERY
    answer: str = "predictions.csv"
    reasons: Mapping[str, str] = field(default_factory=dict)  # set -> why it is not run on it
    needs: Sequence[str] = ()  # modules
    is_peer: bool = False
    prints_seconds: bool = False  # its wall time is what it prints, not that of the process
    stays: bool = False  # a process of it stays for the next run, which is the one to measure

    def obstacle(self, data: DataSet) -> str:
        """Why it cannot be run on this set, here; empty if it can."""
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            return f"{', '.join(missing)} not installed"
        if "pyspark" in self.needs and not has_java():
            return "no Java: neither JAVA_HOME nor `java` on PATH"
        for option in ("--coalesce", "--split-rows", "--warm"):
            if option in self.title and not has_option(option):
                return f"`batchtwin score` has no {option}"
        return self.reasons.get(data.name, "")

    def digest(self, folder: Path) -> str:
        """Return a fingerprint of the predictions that it left, in their order; empty if it leaves none."""
        if not self.answer:
            return ""
        path = folder / self.answer
        if path.is_dir():
            return _digest_of_records(path)
        with path.open("rb") as lines:
            return hashlib.file_digest(lines, "sha256").hexdigest()


def _digest_of_records(folder: Path) -> str:
    """Of files of records with their prediction last: what `row,prediction,file_name` lines of the same would have."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8") as records:
            next(records)
            for row, record in enumerate(records):
                digest.update(f"{row},{record.rstrip().rpartition(',')[2]},{path.name}\n".encode())
    return digest.hexdigest()


@cache
def has_java() -> bool:
    """Spark needs one."""
    return "JAVA_HOME" in os.environ or shutil.which("java") is not None


@cache
def _help() -> str:
    words = [beside_python("batchtwin"), "score", "--help"]
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout  # noqa: S603


def has_option(name: str) -> bool:
    """Whether `batchtwin score` knows the option."""
    return f"{name} " in _help()


def ours(deployment: str, *more: str) -> Command:
    """Return the command that scores with one of the project's deployments."""

    def command(data: DataSet, inputs: Path, output: Path) -> Sequence[str]:
        return [
            *(beside_python("batchtwin"), "score", str(ROOT / deployment), "--input", str(inputs)),
            *("--model", str(data.model), "--output", str(output), "--overwrite", "--workers", str(CORES)),
            *("--set", f"settings.mini_batch_size={data.mini_batch}", *more),
        ]

    return command


def script(name: str, *, predicts: bool = True) -> Command:
    """Return the command that runs a script of this folder: model, input folder, output file."""

    def command(data: DataSet, inputs: Path, output: Path) -> Sequence[str]:
        files = [str(inputs), str(output / "predictions.csv")] if predicts else []
        return [beside_python("python"), str(HERE / name), str(data.model), *files]

    return command


SIMPLE, CHUNKS = "deployment-simple/deployment.yml", "deployment-custom/deployment-chunked.yml"
WRITTEN = "named-outputs/score/predictions.csv"
ALL = (
    Contender("ours", "batchtwin", ours(SIMPLE), [*EVERY, "WIDE"], WRITTEN),
    Contender("warm", "batchtwin --warm, again", ours(SIMPLE, "--warm"), ["TINY", "BIG"], WRITTEN, stays=True),
    Contender("coalesce", "batchtwin --coalesce", ours(SIMPLE, "--coalesce"), ["SMALL"], WRITTEN),
    Contender("split", "batchtwin --split-rows auto", ours(SIMPLE, "--split-rows", "auto"), ["ONE"], WRITTEN),
    Contender("on_ray", "batchtwin --pool ray", ours(SIMPLE, "--pool", "ray"), ["BIG"], WRITTEN, needs=["ray"]),
    Contender("chunked", "batchtwin, chunked driver", ours(CHUNKS), ["ONE", "QUARTER"], "named-outputs/score"),
    Contender("pandas_loop", "pandas loop", script("peers/pandas_loop.py"), [*EVERY, "WIDE"], is_peer=True),
    Contender(
        "pool", "multiprocessing pool", script("peers/pool.py"), [*EVERY, "WIDE"], reasons=ONE_TASK, is_peer=True
    ),
    Contender("polars", "Polars batches", script("peers/polars_batches.py"), needs=["polars"], is_peer=True),
    Contender(
        "mlflow_predict",
        "mlflow models predict",
        script("peers/mlflow_predict.py"),
        reasons=dict.fromkeys(("SMALL", "BIG"), PER_FILE),
        is_peer=True,
    ),
    Contender(
        "spark_udf",
        "Spark, spark_udf",
        script("peers/spark_udf.py"),
        reasons=ON_SMALL,
        needs=["pyspark"],
        is_peer=True,
    ),
    Contender("ray_data", "Ray Data", script("peers/ray_data.py"), reasons=ON_SMALL, needs=["ray"], is_peer=True),
    Contender(
        "dask_bag", "Dask bag", script("peers/dask_bag.py"), reasons=ONE_TASK, needs=["distributed"], is_peer=True
    ),
    Contender(
        "dask_dataframe",
        "Dask DataFrame",
        script("peers/dask_dataframe.py"),
        reasons={"SMALL": f"{SMALL.files:,} partitions of {SMALL.rows_per_file} rows are not what it is for; a bag is"},
        needs=["distributed"],
        is_peer=True,
    ),
    Contender("load", "import + load", script("start.py", predicts=False), ["TINY", "BIG"], ""),
    Contender("start", "import + load + predict", script("start.py"), ["TINY"]),
    Contender("floor", "floor of the work, one core", script("floor.py"), ["SMALL", "BIG", "ONE"], prints_seconds=True),
)
