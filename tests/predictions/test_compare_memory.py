"""A comparison's memory does not grow with its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import DEADLINE, batchtwin

PROGRAM = """
import re, sys
from pathlib import Path
from batchtwin.predictions.compare import compare
assert compare(Path(sys.argv[1]), Path(sys.argv[2])).equal
# Not ru_maxrss: it begins with the memory of the process that started this one.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak(folder: Path, line: str, count: int) -> float:
    """Return the peak memory, in MB, of comparing `count` lines with the same ones in other order."""
    lines = [line.format(row=number % 50_000, file=number // 50_000, value=number / 7) for number in range(count)]
    paths = [folder / f"{count}-{side}.csv" for side in ("left", "right")]
    paths[0].write_text("".join(lines))
    paths[1].write_text("".join(reversed(lines)))
    words = [sys.executable, "-c", PROGRAM, *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, check=True)
    return int(done.stdout) / 1024


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("{row},{value!r},a/folder/with/a/name/part-{file}.csv\n", 60_000),
        ("{value!r} and some words more\n", 60_000),
        ("same\n", 300_000),
    ],
)
def test_ten_times_the_lines_need_no_more_memory(tmp_path: Path, line: str, count: int) -> None:
    assert peak(tmp_path, line, 10 * count) < peak(tmp_path, line, count) + 15


FULL = """
import resource, sys
from pathlib import Path
from batchtwin.predictions.compare import compare
from batchtwin.predictions.file import CompareError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    compare(Path(sys.argv[1]), Path(sys.argv[2]))
except CompareError as error:
    print(error)
"""


def test_a_full_temporary_folder_is_told(tmp_path: Path) -> None:
    paths = tmp_path / "left", tmp_path / "right"
    for path, first in zip(paths, (0, 1), strict=True):
        path.write_text("".join(f"{number:0200}\n" for number in range(first, 40_000)))
    words = [sys.executable, "-c", FULL, *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert "temporary folder: disk I/O error; a comparison needs about as much temporary space" in done.stdout


def test_temporary_files_are_in_tmpdir_and_go(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    paths = tmp_path / "left", tmp_path / "right"
    for path, first in zip(paths, (0, 1), strict=True):
        path.write_text("".join(f"{number:0200}\n" for number in range(first, 40_000)))
    result = batchtwin("compare", *paths, env={"TMPDIR": str(temporary)})
    assert (result.code, list(temporary.iterdir())) == (1, [])
