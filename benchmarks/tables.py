"""The figures as tables: on the terminal, and in Markdown between two marks in a file."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CORES, has_java
from benchmarks.results import Result, Results
from benchmarks.sets import DataSet
from benchmarks.targets import targets

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
PACKAGES = ("batchtwin", "mlflow", "xgboost", "scikit-learn", "pandas", "pyarrow", "polars", "pyspark", "ray", "dask")
HEADS = ("", "wall, s", "min to max", "runs", "CPU, s", "peak, MiB", "rows/s", "wall / ours")
WIDTH = 110  # of what is no terminal
TARGET_HEADS = ("", "at most", "measured", "met")
METHOD = """\
Whole processes, one at a time, on the same files and model, which are in the page cache; in another order in each
round. *wall* is the median, beside it the least and the most. *CPU* is that of all processes, user and system. *peak*
is the most that all processes held at one moment, shared pages divided among those who share them (PSS), looked at up
to ten times a second. A peer that takes more than six seconds runs once, unless it is the pandas loop or the fastest
peer. Everybody's predictions were compared with ours after each run: they are equal and in the same order, or there is
no figure. *import + load (+ predict)* is the least that one process must do with `mlflow.pyfunc`; *floor of the work*
is what reading, encoding, predicting and writing take in one warm process with pyarrow and XGBoost directly. *--warm,
again* are runs in a row after one that is not counted. The scripts are in `benchmarks/`."""

Row = tuple[str, ...]


def rows(results: Results, data: DataSet) -> list[Row]:
    """Return a row of texts for each contender whose figures count, the fastest first."""
    ours = results.get(data, "ours")
    counting = [result for result in results.of_set(data) if result.counts]
    return [_row(result, ours) for result in sorted(counting, key=lambda result: result.wall)]


def _row(result: Result, ours: Result | None) -> Row:
    inside = result.contender.prints_seconds  # the process around what it timed is nobody's figure
    return (
        result.contender.title,
        f"{result.wall:.2f}",
        f"{min(result.walls):.2f} to {max(result.walls):.2f}",
        str(len(result.runs)),
        "" if inside else f"{result.cpu:.2f}",
        "" if inside else f"{result.peak / 2**20:,.0f}",
        f"{result.rows_per_second:,.0f}" if result.contender.answer else "",
        f"{result.wall / ours.wall:.2f}" if ours else "",
    )


def why_nots(results: Results, data: DataSet) -> list[str]:
    """Return a sentence for each contender without figures."""
    absent = [result for result in results.of_set(data) if not result.counts]
    return [f"{result.contender.title} has no figure: {result.why_not}." for result in absent]


def target_rows(results: Results) -> list[Row]:
    """Return a row of texts for each target."""
    return [
        (target.text, f"{target.bound:.2f}", f"{target.measured:.2f}", "yes" if target.is_met else "**no**")
        if target.measured is not None
        else (target.text, f"{target.bound:.2f}", "not measured", "")
        for target in targets(results)
    ]


def show(results: Results, sets: Sequence[DataSet]) -> None:
    """Print the tables."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    for data in sets:
        console.print(_table(str(data), HEADS, rows(results, data)), *why_nots(results, data), sep="\n")
    console.print(_table("targets", TARGET_HEADS, target_rows(results)))


def _table(title: str, heads: Sequence[str], body: Iterable[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for row in body:
        table.add_row(*(text.strip("*") for text in row))
    return table


def _markdown(heads: Sequence[str], body: Iterable[Row]) -> str:
    rule = ("---", *["---:"] * (len(heads) - 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *body))


def machine() -> str:
    """Return what this was measured on and with; no name of the machine. To be called before the first run."""
    packages = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    return (
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {_cpu_model()}, {CORES} cores, load {os.getloadavg()[0]:.1f} "
        f"before the first run; Python {platform.python_version()}, {packages}{_java()}."
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _java() -> str:
    if not has_java():
        return ""
    java = Path(os.environ["JAVA_HOME"], "bin/java") if "JAVA_HOME" in os.environ else "java"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    found = re.search(r'version "([^"]+)"', said)
    return f", Java {found[1]}" if found else ""


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1].strip() if found else platform.machine()


def check_marks(path: Path) -> None:
    """End with a sentence, before anything is measured, if the file has no place for the figures."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not 0 <= text.find(BEGIN) < text.find(END):
        raise SystemExit(f"bench: {path} needs a line {BEGIN} and, below it, a line {END}")


def write(path: Path, results: Results, sets: Sequence[DataSet], machine: str) -> None:
    """Replace what stands between the marks."""
    parts = [f"`make bench`, {machine}", METHOD, *(_section(results, data) for data in sets), _targets(results)]
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text("\n\n".join([before + BEGIN, *parts, END + after]), encoding="utf-8")


def _section(results: Results, data: DataSet) -> str:
    ours = f"batchtwin with `--workers {CORES}`, `mini_batch_size` {data.mini_batch}."
    notes = " ".join([ours, *why_nots(results, data)])
    return f"### {data}\n\n{_markdown(HEADS, rows(results, data))}\n\n{notes}"


def _targets(results: Results) -> str:
    return f"### Targets\n\n{_markdown(TARGET_HEADS, target_rows(results))}"
