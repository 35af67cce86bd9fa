"""scripts/make_data.py, run as people run it. Expectations: the published statistics of the UCI table, and ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/make_data.py"
TRACKED = ["train/heart.csv", *(f"heart-unlabeled-{i}.csv" for i in range(4))]
COLUMNS = "age sex cp trestbps chol fbs restecg thalach exang oldpeak slope ca thal".split()
# Runs a command and prints the peak memory of that command alone: the launcher itself is small, and its parent,
# whose size a forked child would start from, is not in between.
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def make(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def peak(rows: int, out: Path) -> int:
    """Return the peak memory of writing so many rows, in the unit of this system's `ru_maxrss`."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, str(SCRIPT), "--rows", str(rows), "--out", str(out)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """100,000 labeled rows: enough that shares and means are known to a per cent or so."""
    out = tmp_path_factory.mktemp("population")
    assert make("--rows", "100000", "--labeled", "--out", out).returncode == 0
    return pd.read_csv(out / "heart-labeled-0.csv")


def test_no_arguments_give_the_tracked_files_byte_for_byte(tmp_path: Path) -> None:
    result = make("--out", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted(TRACKED)
    for name in TRACKED:
        assert (tmp_path / name).read_bytes() == (ROOT / "data" / name).read_bytes(), name


@pytest.mark.parametrize(("name", "rows"), list(zip(TRACKED, [303, 100, 100, 100, 3], strict=True)))
def test_tracked_files_have_the_schema_and_the_rows(name: str, rows: int) -> None:
    table = pd.read_csv(ROOT / "data" / name)
    labels = ["target"] if name.startswith("train") else []
    assert list(table) == COLUMNS + labels
    assert len(table) == rows
    kinds = {column: str(dtype) for column, dtype in table.drop(columns="thal").dtypes.items()}
    assert kinds == {column: "float64" if column == "oldpeak" else "int64" for column in kinds}
    assert not table.isna().any(axis=None)
    assert not table.duplicated().any()


def test_tracked_files_share_no_patient() -> None:
    tables = [pd.read_csv(ROOT / "data" / name)[COLUMNS] for name in TRACKED]
    assert not pd.concat(tables).duplicated().any()


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [("age", 29, 77), ("trestbps", 94, 200), ("chol", 126, 564), ("thalach", 71, 202), ("oldpeak", 0.0, 6.2)],
)
def test_measures_stay_in_the_range_of_the_table(
    population: pd.DataFrame, column: str, low: float, high: float
) -> None:
    assert population[column].between(low, high).all()
    assert population[column].nunique() > 40


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("sex", {0, 1}),
        ("cp", {1, 2, 3, 4}),
        ("fbs", {0, 1}),
        ("restecg", {0, 1, 2}),
        ("exang", {0, 1}),
        ("slope", {1, 2, 3}),
        ("ca", {0, 1, 2, 3}),
        ("thal", {"fixed", "normal", "reversible"}),
        ("target", {0, 1}),
    ],
)
def test_choices_are_those_of_the_table(population: pd.DataFrame, column: str, values: set[object]) -> None:
    assert set(population[column]) == values


def test_oldpeak_is_written_with_one_decimal() -> None:
    cells = pd.read_csv(ROOT / "data/train/heart.csv", dtype=str)["oldpeak"]
    assert cells.str.fullmatch(r"\d\.\d").all()


@pytest.mark.parametrize(
    ("column", "healthy", "diseased", "tolerance"),
    [
        ("age", 52.6, 56.6, 0.5),
        ("trestbps", 129.3, 134.6, 1.0),
        ("chol", 242.6, 251.5, 1.5),
        ("thalach", 158.4, 139.3, 1.0),
        ("oldpeak", 0.59, 1.57, 0.08),
        ("sex", 0.56, 0.82, 0.015),
        ("exang", 0.14, 0.55, 0.015),
        ("fbs", 0.14, 0.16, 0.015),
    ],
)
def test_class_means_are_those_of_the_table(
    population: pd.DataFrame, column: str, healthy: float, diseased: float, tolerance: float
) -> None:
    means = population.groupby("target")[column].mean()
    assert means.loc[0] == pytest.approx(healthy, abs=tolerance)
    assert means.loc[1] == pytest.approx(diseased, abs=tolerance)


def test_share_of_diseased_is_that_of_the_table(population: pd.DataFrame) -> None:
    assert population["target"].mean() == pytest.approx(139 / 303, abs=0.01)


@pytest.mark.parametrize("column", COLUMNS)
def test_no_column_gives_the_label_away(population: pd.DataFrame, column: str) -> None:
    """Even the best guess from one column, the more frequent class at each of its values, errs on one in five."""
    share = population.groupby(column)["target"].transform("mean")
    assert ((share > 0.5) == (population["target"] == 1)).mean() < 0.8


def test_same_seed_same_bytes_and_other_seed_other_rows(tmp_path: Path) -> None:
    contents = []
    for name, seed in [("a", "7"), ("b", "7"), ("c", "8")]:
        assert make("--rows", "1000", "--seed", seed, "--out", tmp_path / name).returncode == 0
        contents.append((tmp_path / name / "heart-unlabeled-0.csv").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_first_rows_do_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    for rows in ("40000", "70000"):  # either side of a boundary of chunks
        assert make("--rows", rows, "--out", tmp_path / rows).returncode == 0
    shorter, longer = [(tmp_path / rows / "heart-unlabeled-0.csv").read_bytes() for rows in ("40000", "70000")]
    assert longer.startswith(shorter)
    assert longer.count(b"\n") == 70_001


def test_rows_are_divided_over_files_whose_names_sort(tmp_path: Path) -> None:
    assert make("--rows", "1003", "--files", "12", "--out", tmp_path).returncode == 0
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [f"heart-unlabeled-{i:02}.csv" for i in range(12)]
    tables = [pd.read_csv(path) for path in paths]
    assert [len(table) for table in tables] == [84] * 7 + [83] * 5
    assert not pd.concat(tables).duplicated().any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "0"], "--rows 0 --files 1: give each file at least one row"),
        (["--rows", "2", "--files", "3"], "--rows 2 --files 3: give each file at least one row"),
        (["--files", "3"], "give --rows too"),
        (["--labeled"], "give --rows too"),
        (["--seed", "-1"], "--seed -1: give a number of 0 or more"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = make(*arguments, "--out", tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = make("--rows", "3", "--out", tmp_path / "file")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert str(tmp_path / "file") in result.stderr


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    # Ten times the rows. Some slack, for allocators differ; a script that keeps its rows needs over five times.
    assert peak(2_000_000, tmp_path) < 1.5 * peak(200_000, tmp_path)
