"""Write synthetic heart patients as CSV files, in the schema of the UCI Heart Disease (Cleveland) table.

The data is synthetic. No row is a patient and nothing in it is of medical use: the ranges and the
class-conditional means and shares follow what is published about the table, and the rows are drawn at random.

Without arguments this writes the files that git tracks, always the same bytes: `data/train/heart.csv`
(303 rows, with `target`) and `data/heart-unlabeled-0.csv` to `-3.csv` (100, 100, 100 and 3 rows, without).
With `--rows` it writes any number of rows, in memory that does not grow with them.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
SEED = 45  # the table's number at UCI; any other gives other patients
CHUNK_ROWS = 32_768  # about 20 MB of work space; bigger is slower, for it leaves the cache
DISEASED_SHARE = 139 / 303
TRAIN_ROWS = 303
UNLABELED_ROWS = (100, 100, 100, 3)

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Traits:
    """How a column hangs together with the others of the same patient.

    `severity` and `age` are the column's correlations, within a class, with two hidden factors. Without them
    the columns would be independent given the class, thirteen clean votes, and the label too easy to find.
    """

    severity: float = 0.0
    age: float = 0.0

    def scores(self, severity: Floats, age: Floats, noise: Floats) -> Floats:
        """Return the column's standard normal scores, shape (rows,), from the factors and its own noise."""
        rest = 1.0 - self.severity**2 - self.age**2
        return self.severity * severity + self.age * age + math.sqrt(rest) * noise


@dataclass(frozen=True)
class Measure:
    """A number: its range in units of the last written digit, mean and spread for (healthy, diseased)."""

    name: str
    low: int
    high: int
    mean: tuple[float, float]
    spread: tuple[float, float]
    traits: Traits
    skew: float = 0.0
    decimals: int = 0

    def texts(self) -> list[str]:
        """Return what is written for each code."""
        return [f"{value / 10**self.decimals:.{self.decimals}f}" for value in range(self.low, self.high + 1)]

    def codes(self, scores: Floats, diseased: Codes) -> Codes:
        """Return for each row the position of its value in `texts()`, shape (rows,)."""
        bent = scores + self.skew * (scores * scores - 1.0)
        values = np.take(self.mean, diseased) + np.take(self.spread, diseased) * bent
        return np.rint(np.clip(values, self.low, self.high)).astype(np.intp) - self.low


@dataclass(frozen=True)
class Choice:
    """One of a few values, the most worrying last, with their shares among the healthy and the diseased."""

    name: str
    values: tuple[str, ...]
    shares: tuple[tuple[float, ...], tuple[float, ...]]
    traits: Traits

    def texts(self) -> list[str]:
        """Return what is written for each code."""
        return list(self.values)

    def codes(self, scores: Floats, diseased: Codes) -> Codes:
        """Return for each row the position of its value in `texts()`, shape (rows,)."""
        cuts = np.array([_cuts(shares) for shares in self.shares])
        codes = np.zeros(len(scores), dtype=np.intp)
        for boundary in range(cuts.shape[1]):
            codes += scores > np.take(cuts[:, boundary], diseased)
        return codes


def _cuts(shares: Sequence[float]) -> list[float]:
    """Return the normal scores that divide a population into these shares: one fewer than there are."""
    return [NormalDist().inv_cdf(sum(shares[:end]) / sum(shares)) for end in range(1, len(shares))]


# In the order of the UCI table. Counts are per class, (healthy, diseased), of 164 and 139 patients.
COLUMNS: tuple[Measure | Choice, ...] = (
    Measure("age", 29, 77, (52.6, 56.6), (9.5, 7.9), Traits(age=1.0)),
    Choice("sex", ("0", "1"), ((72, 92), (25, 114)), Traits(severity=0.15, age=-0.15)),
    Choice("cp", ("2", "3", "1", "4"), ((41, 68, 16, 39), (9, 18, 7, 105)), Traits(severity=0.50)),
    Measure("trestbps", 94, 200, (129.3, 134.6), (16.2, 18.8), Traits(severity=0.10, age=0.28), skew=0.10),
    Measure("chol", 126, 564, (242.6, 251.5), (53.5, 49.5), Traits(severity=0.05, age=0.20), skew=0.12),
    Choice("fbs", ("0", "1"), ((141, 23), (117, 22)), Traits(age=0.15)),
    Choice("restecg", ("0", "1", "2"), ((95, 1, 68), (56, 3, 80)), Traits(severity=0.15, age=0.15)),
    Measure("thalach", 71, 202, (158.4, 139.3), (19.2, 22.6), Traits(severity=-0.50, age=-0.38), skew=-0.06),
    Choice("exang", ("0", "1"), ((141, 23), (63, 76)), Traits(severity=0.60)),
    Measure("oldpeak", 0, 62, (2.5, 14.0), (11.0, 15.0), Traits(severity=0.60, age=0.10), decimals=1),
    Choice("slope", ("1", "2", "3"), ((106, 49, 9), (36, 91, 12)), Traits(severity=0.60)),
    Choice("ca", ("0", "1", "2", "3"), ((133, 21, 7, 3), (46, 45, 31, 17)), Traits(severity=0.45, age=0.30)),
    Choice("thal", ("normal", "fixed", "reversible"), ((129, 6, 29), (38, 12, 89)), Traits(severity=0.50)),
)
TARGET = "target"
DRAWS = 3 + len(COLUMNS)  # class, severity, age, then one noise for each column


def draw(random: np.random.Generator, rows: int) -> tuple[Codes, list[Codes]]:
    """Draw patients: the class of each (0 or 1), shape (rows,), and the codes of each column, same shape.

    A row takes its numbers from the stream in one piece, so the first rows of a file do not depend on how
    many follow or on the chunks in which they are drawn.
    """
    normal = np.ascontiguousarray(random.standard_normal((rows, DRAWS)).T)
    diseased = (normal[0] < NormalDist().inv_cdf(DISEASED_SHARE)).astype(np.intp)
    severity, age = normal[1], normal[2]
    noises = normal[3:]
    scores = [column.traits.scores(severity, age, noise) for column, noise in zip(COLUMNS, noises, strict=True)]
    return diseased, [column.codes(score, diseased) for column, score in zip(COLUMNS, scores, strict=True)]


def cells(texts: Sequence[str], end: str) -> Bytes:
    """Return the texts as bytes, each with `end`, padded with NUL: shape (texts, widest)."""
    lines = np.array([(text + end).encode("ascii") for text in texts])
    return lines.view(np.uint8).reshape(len(texts), lines.itemsize)


def chunks(random: np.random.Generator, rows: int, labeled: bool) -> Iterator[bytes]:
    """Yield the header and then the rows as CSV text, at most CHUNK_ROWS rows at a time."""
    names = [column.name for column in COLUMNS] + [TARGET] * labeled
    tables = [column.texts() for column in COLUMNS] + [["0", "1"]] * labeled
    ends = [","] * (len(names) - 1) + ["\n"]
    alphabet = [cells(texts, end) for texts, end in zip(tables, ends, strict=True)]
    yield (",".join(names) + "\n").encode("ascii")
    for start in range(0, rows, CHUNK_ROWS):
        diseased, codes = draw(random, min(CHUNK_ROWS, rows - start))
        columns = codes + [diseased] * labeled
        lines = np.hstack([np.take(table, code, axis=0) for table, code in zip(alphabet, columns, strict=True)])
        yield lines[lines != 0].tobytes()  # the padding goes, the text stays


def write_file(path: Path, seed: int, stream: int, rows: int, labeled: bool) -> None:
    """Write one CSV file, whole or not at all. Files of one seed differ by their `stream`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.writelines(chunks(np.random.default_rng([seed, stream]), rows, labeled))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class Job:
    """One file to write."""

    path: Path
    stream: int
    rows: int
    labeled: bool


def standard_set(out: Path) -> list[Job]:
    """Return the files that git tracks."""
    unlabeled = [
        Job(out / f"heart-unlabeled-{i}.csv", stream=1 + i, rows=rows, labeled=False)
        for i, rows in enumerate(UNLABELED_ROWS)
    ]
    return [Job(out / "train/heart.csv", stream=0, rows=TRAIN_ROWS, labeled=True), *unlabeled]


def sized_set(out: Path, rows: int, files: int, labeled: bool) -> list[Job]:
    """Return `files` files of together `rows` rows, as even as can be; their names sort in their order."""
    kind = "labeled" if labeled else "unlabeled"
    width = len(str(files - 1))
    sizes = [rows // files + (i < rows % files) for i in range(files)]
    return [Job(out / f"heart-{kind}-{i:0{width}}.csv", 1 + i, size, labeled) for i, size in enumerate(sizes)]


def parse(argv: Sequence[str] | None) -> tuple[int, list[Job]]:
    """Return the seed and the files asked for; end with exit code 2 on arguments that make no sense."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, help="rows in all, divided over the files (default: the tracked files)")
    parser.add_argument("--files", type=int, help="number of files (default 1); needs --rows")
    parser.add_argument("--labeled", action="store_true", help="with the target column; needs --rows")
    parser.add_argument("--out", type=Path, default=ROOT / "data", help="folder to write to (default data/)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"other seeds, other patients (default {SEED})")
    options = parser.parse_args(argv)
    if options.seed < 0:
        parser.error(f"--seed {options.seed}: give a number of 0 or more")
    if options.rows is None:
        if options.files is not None or options.labeled:
            parser.error("--files and --labeled shape a set of a size: give --rows too")
        return options.seed, standard_set(options.out)
    files = 1 if options.files is None else options.files
    if not 1 <= files <= options.rows:
        parser.error(f"--rows {options.rows} --files {files}: give each file at least one row")
    return options.seed, sized_set(options.out, options.rows, files, options.labeled)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files; return the exit code."""
    seed, jobs = parse(argv)
    try:
        for job in jobs:
            write_file(job.path, seed, job.stream, job.rows, job.labeled)
    except OSError as error:
        print(f"make_data: cannot write {error.filename or jobs[0].path.parent}: {error.strerror}", file=sys.stderr)
        return 1
    rows = sum(job.rows for job in jobs)
    print(f"Wrote {rows:,} synthetic rows in {len(jobs)} file(s) to {jobs[-1].path.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
