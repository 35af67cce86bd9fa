"""The names of scikit-learn's estimators that are kept give skops the lists that it makes by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batchtwin_node.driver import skops_startup as estimators

TOLD = """
import json, sys
from pathlib import Path
from batchtwin_node.driver.skops_startup import import_skops
{first}
import skops.io._trusted_types as types, sklearn.utils
lists = {{name: value for name, value in vars(types).items() if name.endswith("_NAMES")}}
print(json.dumps([lists, "sklearn.gaussian_process" in sys.modules, sklearn.utils.all_estimators.__module__]))
"""


def told(first: str = "") -> tuple[dict[str, list[str]], bool, str]:
    """What another process finds in skops: its lists, whether all of scikit-learn was imported, whom it would ask."""
    code = TOLD.format(first=first)
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    answer: Any = json.loads(done.stdout)
    return answer[0], answer[1], answer[2]


@pytest.fixture(scope="module")
def plain() -> tuple[dict[str, list[str]], bool, str]:
    return told()


def test_the_lists_are_those_of_skops_itself(plain: tuple[dict[str, list[str]], bool, str], tmp_path: Path) -> None:
    estimators.keep(tmp_path)
    lists, everything, asked = told(f"import_skops(Path({str(tmp_path)!r}))")
    assert plain[1], "skops asks for all"
    assert not everything
    assert lists == plain[0]
    assert asked == plain[2]


@pytest.mark.parametrize("kept", [None, "{", '[["a"]]', "[]x"])
def test_without_names_it_is_asked_and_they_are_kept(
    plain: tuple[dict[str, list[str]], bool, str], tmp_path: Path, kept: str | None
) -> None:
    folder = tmp_path / "share"
    if kept is not None:
        estimators.keep(folder).write_text(kept)
    assert told(f"import_skops(Path({str(folder)!r}))") == plain
    [file] = folder.iterdir()
    assert len(json.loads(file.read_text())) > 100


def test_a_folder_that_may_not_be_written_is_no_failure(
    plain: tuple[dict[str, list[str]], bool, str], tmp_path: Path
) -> None:
    (tmp_path / "share").write_text("a file")
    assert told(f"import_skops(Path({str(tmp_path / 'share')!r}))") == plain
