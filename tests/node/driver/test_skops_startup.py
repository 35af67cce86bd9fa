"""The names of scikit-learn's estimators that are kept give skops the lists that it makes by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchtwin_node.driver import skops_startup as estimators
from commands import CommandServer
from support import DEADLINE

TOLD = """
import json, sys
from pathlib import Path
from batchtwin_node.driver.skops_startup import import_skops
if sys.argv[1:]:
    import_skops(Path(sys.argv[1]))
import skops.io._trusted_types as types, sklearn.utils
lists = {name: value for name, value in vars(types).items() if name.endswith("_NAMES")}
print(json.dumps([lists, "sklearn.gaussian_process" in sys.modules, sklearn.utils.all_estimators.__module__]))
"""
# Most of what scikit-learn needs for a list of all its estimators, but not all of scikit-learn, and not skops.
IMPORTS = ("sklearn.cluster", "sklearn.datasets", "sklearn.decomposition", "sklearn.ensemble", "sklearn.linear_model")
Told = tuple[dict[str, list[str]], bool, str]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Told]]:
    """What another process finds in skops: its lists, whether all of scikit-learn was imported, whom it would ask.

    With a folder, skops is imported as the driver does it, with the names in that folder.
    """
    program = tmp_path_factory.mktemp("told") / "program.py"
    program.write_text(TOLD)
    server = CommandServer(IMPORTS, {"PYTHONDONTWRITEBYTECODE": ""})

    def run(*folder: Path) -> Told:
        code, out, err = server.run([*map(str, folder)], program.parent, os.environ, DEADLINE, program)
        assert code == 0, err
        answer: Any = json.loads(out)
        return answer[0], answer[1], answer[2]

    yield run
    server.close()


@pytest.fixture(scope="module")
def plain(told: Callable[..., Told]) -> Told:
    return told()


def test_the_lists_are_those_of_skops_itself(told: Callable[..., Told], plain: Told, tmp_path: Path) -> None:
    estimators.write_names(tmp_path)
    lists, everything, has_asked = told(tmp_path)
    assert plain[1], "skops asks for all"
    assert not everything
    assert lists == plain[0]
    assert has_asked == plain[2]


@pytest.mark.parametrize("kept", [None, "{", '[["a"]]', "[]x"])
def test_without_names_it_is_asked_and_they_are_kept(
    told: Callable[..., Told], plain: Told, tmp_path: Path, kept: str | None
) -> None:
    folder = tmp_path / "share"
    if kept is not None:
        estimators.write_names(folder).write_text(kept)
    assert told(folder) == plain
    [file] = folder.iterdir()
    assert len(json.loads(file.read_text())) > 100


def test_a_folder_that_may_not_be_written_is_no_failure(told: Callable[..., Told], plain: Told, tmp_path: Path) -> None:
    (tmp_path / "share").write_text("a file")
    assert told(tmp_path / "share") == plain
