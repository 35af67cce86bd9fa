"""The data that is scored: files of synthetic patients, or wide tables of numbers, made once and kept."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build/bench"
MODEL = ROOT / "model"


@dataclass(frozen=True)
class DataSet:
    """Files of equal size. `mini_batch` is the `mini_batch_size` that suits them.

    With `columns` they are tables of so many numbers, for a model of their own.
    """

    name: str
    files: int
    rows_per_file: int
    mini_batch: int = 1
    columns: int = 0

    @property
    def model(self) -> Path:
        """The folder of the model that scores them; of wide tables it is there when they are made."""
        return CACHE / f"model-{self.columns}" if self.columns else MODEL

    @property
    def rows(self) -> int:
        """In all files."""
        return self.files * self.rows_per_file

    def __str__(self) -> str:
        wide = f" of {self.columns:,} columns" if self.columns else ""
        return f"{self.name}: {self.files:,} x {self.rows_per_file:,} rows{wide}"

    def make(self) -> Path:
        """Return the folder of its files; make them if they are not there."""
        folder = CACHE / f"{self.files}x{self.rows_per_file}{f'x{self.columns}' if self.columns else ''}"
        if not folder.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
            partial = folder.with_name(folder.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            _run(self._maker(partial))
            partial.rename(folder)
        return folder

    def _maker(self, folder: Path) -> list[str]:
        if self.columns:
            size = (self.files, self.rows_per_file, self.columns)
            return ["-m", "benchmarks.wide", str(folder), str(self.model), *map(str, size)]
        words = ["--rows", str(self.rows), "--files", str(self.files), "--out", str(folder)]
        return [str(ROOT / "scripts/make_data.py"), *words]


def _run(words: list[str]) -> None:
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own


def asked_for(doc: str | None, name: str) -> tuple[DataSet, int]:
    """Return what a benchmark of two ways of one job is asked for: the data, BIG unless told otherwise, and rounds."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--files", type=int, default=BIG.files)
    parser.add_argument("--rows", type=int, default=BIG.rows_per_file, help="of each file")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    return DataSet(name, asked.files, asked.rows), asked.rounds


TINY = DataSet("TINY", 4, 75, mini_batch=2)
SMALL = DataSet("SMALL", 2_000, 100, mini_batch=50)
BIG = DataSet("BIG", 8, 250_000)
ONE = DataSet("ONE", 1, 4_000_000)
WIDE = DataSet("WIDE", 20, 20, columns=20_000)
QUARTER = DataSet("QUARTER", 1, 1_000_000)  # of ONE: does memory grow with the file?
