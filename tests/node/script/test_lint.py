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
        ("n = 0\ndef run(batch):\n    n += 1\n    return batch", "3: run() reads 'n' before"),
        ("n = 0\ndef run(batch):\n    n = (\n        n + 1)\n    return batch", "4: run() reads 'n' before"),
        # Names that the module has by `global` in init() alone.
        (
            "def init():\n    global m\n    m = 1\ndef run(batch):\n    m = m + 1\n    return [m]",
            "5: run() reads 'm' before it assigns it; add `global m`",
        ),
        (
            "def init():\n    global m\n    n = 1\ndef run(batch): return [m]",
            "4: run() reads 'm', which nothing sets; `global` alone does not set it",
        ),
        ("def init(): pass\ndef run(batch):\n    return model.predict(batch)", "3: run() reads 'model', which nothing"),
        ("def run(batch): return [pd.read_csv(p) for p in batch]", "1: run() reads 'pd', which nothing sets"),
        ("def init():\n    import json\ndef run(batch): return [json.dumps(batch)]", "1: init() sets 'json' only for"),
        ("def run(batch):\n    out = []\n    return '\\n'.join(out)", "3: run() returns text; return a list"),
        ("def run(batch): return f'{batch}'", "1: run() returns text"),
        ("def run(batch): return 'x'", "1: run() returns text"),
        ("def run(batch): return 'a' if batch else '{}'.format(batch)", "1: run() returns text"),
        ("def run(batch):\n    if not batch: return\n    return 'x'", "3: run() returns text"),
        ("def run(batch):\n    out = []", "1: run() returns nothing; end it with `return results`"),
        ("def run(batch):\n    if batch:\n        return\n    raise ValueError", "1: run() returns nothing"),
        ("def run(batch): return None", "1: run() returns nothing"),
        (
            "def init():\n    with open('x') as f: pass\ndef run(batch): return [f]",
            "1: init() sets 'f' only for itself",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, script: str, found: str) -> None:
    [line] = linted(tmp_path, script)
    assert found in line


@pytest.mark.parametrize(
    "script",
    [
        "import mlflow\ndef init():\n    global m\n    m = mlflow.pyfunc.load_model('x')\ndef run(b): return m",
        "def run(batch): raise NotImplementedError",
        "import sys\ndef run(batch):\n    print(batch)\n    sys.exit(3)",
        "def run(batch):\n    with open(batch[0]):\n        raise ValueError",
        "def run(batch):\n    while True:\n        pass",
        "def run(batch):\n    return 'x' if len(batch) > 1 else batch",
        "def run(batch):\n    if batch:\n        return 'x'\n    return [1]",
        "import os\ndef run(batch): return os.path.join('a', batch[0])",
        "def run(batch): return batch.join('x')",
        "from functools import cache\n@cache\ndef run(batch): return 'x'",
        "def run(batch): return 'x'\nrun = print",
        "model = None\ndef init():\n    global model\n    model = 1\ndef run(batch): return [model]",
        "def run(batch):\n    def rows():\n        yield 1\n    return list(rows())",
        "def run(batch):\n    n = 0\n    n = n + 1\n    return [n]",
        "n = 0\ndef run(batch):\n    n = 5\n    return [n]",
        "def init():\n    model = 1\ndef run(model): return model",
        "n = 0\ndef run(batch):\n    global n\n    n = n + 1\n    return batch",
        "class Model:\n    def run(self, batch):\n        yield 1\nrun = Model().run",
        # The module has a name by another function than init().
        "def load():\n    global m\n    m = 1\ndef init():\n    load()\n    m = 2\ndef run(batch): return [m]",
        "def init():\n    global m\n    import json as m\ndef run(batch): return [m.dumps(batch)]",
        "def init():\n    global m\n    m, k = 1, 2\n    print(k)\ndef run(batch): return [lambda: m]",
        "n = 0\ndef run(batch): return [n for n in batch]",
        "n = 0\ndef run(batch):\n    n: int = len(batch)\n    return [n]",
        "n = 0\ndef run(batch):\n    for n in batch:\n        print(n)\n    return batch",
        "def run(batch):\n    try:\n        return [model]\n    except NameError:\n        return batch",
        "from sibling import *\ndef run(batch): return [model]",
        "def init(): globals()['model'] = 1\ndef run(batch): return [model]",
        "def run(batch):\n    def inner():\n        nonlocal n\n        n += 1\n    n = 0\n    inner()\n    return [n]",
        "from __future__ import annotations\ndef run(batch: list[Unknown]) -> Rows:\n    x: Other = 1\n    return [x]",
        "import os\ndef run(batch): return [os.path.basename(__file__), __name__, print]",
        "class A:\n    x = 1\n    def go(self): return __class__, self.__y\n    __y = 2\ndef run(batch): return [A()]",
        "def run(batch):\n    if (n := len(batch)) > 1: return [n]\n    return [n]",
        "def run(batch):\n    try:\n        return batch\n    except Exception as error:\n        return [error]",
        "def run(batch): return [" + "1 + " * 3000 + "1]",
    ],
)
def test_good_scripts_pass(tmp_path: Path, script: str) -> None:
    assert linted(tmp_path, script) == []


def test_our_drivers_pass() -> None:
    drivers = list((ROOT / "deployment-custom/code").glob("batch_driver*.py"))
    assert len(drivers) == 5
    assert [line for path in drivers for line in lint(path)] == []
