"""Names that a script imports from files of its code folder and that are not there: told without running anything."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from batchtwin_node.script.siblings import lacking_names

HELPERS = """
    import os as system
    if system.name:
        from math import pi as circle
    left = right = 1
    for row in ():
        pass
    class Scorer:
        inner = 1
    def score():
        global late
        late = 1
"""


def lacking(folder: Path, script: str, files: Mapping[str, str]) -> list[str]:
    for name, text in {"driver.py": script, "helpers.py": HELPERS, **files}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return [text.removeprefix(f"{folder}/") for text in lacking_names(str(folder), "driver.py")]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("from helpers import scores", "1: from helpers import scores: helpers has no scores; did you mean score?"),
        ("import os\nfrom helpers import score, inner", "2: from helpers import inner: helpers has no inner"),
        ("def init():\n    from helpers import nothing", "2: from helpers import nothing: helpers has no nothing"),
    ],
)
def test_a_name_that_a_file_lacks_is_told(tmp_path: Path, script: str, told: str) -> None:
    assert lacking(tmp_path, script, {}) == [f"driver.py:{told}"]


def test_files_that_files_import_are_looked_at_too(tmp_path: Path) -> None:
    texts = {"more.py": "import other", "other.py": "import more\nfrom helpers import nope"}
    [text] = lacking(tmp_path, "import more", texts)
    assert text == "other.py:2: from helpers import nope: helpers has no nope"
    told = "driver.py:1: from empty import x: empty has no x"
    assert lacking(tmp_path, "from empty import x", {"empty.py": ""}) == [told]


def test_a_package_has_its_modules(tmp_path: Path) -> None:
    files = {"package/__init__.py": "x = 1", "package/part.py": "y = 1"}
    assert lacking(tmp_path, "from package import x, part, z\nfrom package.part import y, z", files) == [
        "driver.py:1: from package import z: package has no z",
        "driver.py:2: from package.part import z: package.part has no z",
    ]


@pytest.mark.parametrize(
    ("script", "helpers"),
    [
        ("from helpers import system, circle, left, right, row, Scorer, score, late, __name__, __file__", HELPERS),
        ("from helpers import *", HELPERS),
        ("try:\n    from helpers import new\nexcept ImportError:\n    new = None", HELPERS),
        ("import sys\nsys.path.insert(0, 'elsewhere')\nfrom helpers import new", HELPERS),
        ("from .helpers import new\nfrom os import no_such\nfrom no_such import x", HELPERS),
        ("from helpers import new", "globals()['new'] = 1"),
        ("from helpers import new", "from os.path import *"),
        ("from helpers import new", "def __getattr__(name): return name"),
        ("from helpers import new", "def (:"),
        ("from helpers import new", "\0"),
    ],
)
def test_nothing_is_told_of_what_may_be_there(tmp_path: Path, script: str, helpers: str) -> None:
    assert lacking(tmp_path, script, {"helpers.py": helpers}) == []


def test_a_folder_without_init_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "namespace").mkdir()
    assert lacking(tmp_path, "from namespace import x", {}) == []
