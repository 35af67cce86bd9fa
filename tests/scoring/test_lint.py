"""The mistakes that people make in scoring scripts, and the scripts that have none."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from batchtwin_node.script.lint import lint
from support import ROOT


def linted(folder: Path, script: str) -> list[str]:
    path = folder / "driver.py"
    path.write_text(textwrap.dedent(script))
    return [line.removeprefix(f"{path}:") for line in lint(path)]


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("import mlflow\ndef init(): mlflow.pyfunc.load('x')", "2: mlflow.pyfunc.load does not exist"),
        ("def run(batch):\n    for path in batch:\n        yield path", "3: run() yields"),
        ("def run(batch):\n    yield from batch", "2: run() yields"),
        ("def init():\n    model = 1\ndef run(batch): return model", "1: init() sets 'model' only for itself"),
        ("def init():\n    a, b = 1, 2\ndef run(batch): return [b for x in batch]", "init() sets 'b' only for itself"),
        ("n = 0\ndef run(batch):\n    n = n + len(batch)\n    return batch", "3: run() reads 'n' before it assigns it"),
        ("n = 0\ndef run(batch):\n    print(n)\n    n = 1\n    return batch", "3: run() reads 'n' before"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, script: str, found: str) -> None:
    [line] = linted(tmp_path, script)
    assert found in line


@pytest.mark.parametrize(
    "script",
    [
        "import mlflow\ndef init():\n    global m\n    m = mlflow.pyfunc.load_model('x')\ndef run(b): return m",
        "model = None\ndef init():\n    global model\n    model = 1\ndef run(batch): return [model]",
        "def run(batch):\n    def rows():\n        yield 1\n    return list(rows())",
        "def run(batch):\n    n = 0\n    n = n + 1\n    return [n]",
        "n = 0\ndef run(batch):\n    n = 5\n    return [n]",
        "def init():\n    model = 1\ndef run(model): return model",
        "n = 0\ndef run(batch):\n    global n\n    n = n + 1\n    return batch",
        "class Model:\n    def run(self, batch):\n        yield 1\nrun = Model().run",
    ],
)
def test_good_scripts_pass(tmp_path: Path, script: str) -> None:
    assert linted(tmp_path, script) == []


def test_our_drivers_pass() -> None:
    drivers = list((ROOT / "deployment-custom/code").glob("batch_driver*.py"))
    assert len(drivers) == 5
    assert [line for path in drivers for line in lint(path)] == []
