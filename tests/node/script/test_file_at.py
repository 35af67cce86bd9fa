"""Which file a script was at when it raised: only what its frames show clearly, and no code of the script runs."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtwin_node.script.file_at import _function_of, file_at

FILES = ["/in/a.csv", "/in/b.csv", "/in/c.csv"]
HELPERS = """
    import asyncio, functools, os
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    def check(path):
        if path.endswith("b.csv"):
            raise ValueError

    def wrap(function):
        @functools.wraps(function)
        def wrapped(*arguments):
            return function(*arguments)
        return wrapped

    decorated = wrap(check)

    def keyword(*, path):
        raise ValueError

    def rebound(path):
        path = "/in/c.csv"
        raise ValueError

    async def check_later(path):
        check(path)

    async def all_later(batch):
        await asyncio.gather(*[check_later(path) for path in batch])

    def collect(batch):
        errors = []
        for path in batch:
            try:
                if path.endswith("b.csv"): raise ValueError
            except ValueError as error:
                errors.append(error)
        return errors

    class Evil(str):
        def __eq__(self, other): os._exit(3)
        def __hash__(self): os._exit(4)
        def __repr__(self): os._exit(5)

    class EvilError(Exception):
        @property
        def __traceback__(self): os._exit(6)
"""
Raised = Callable[[str], "tuple[str, str] | None"]


@pytest.fixture
def raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Raised:
    """Return what is known of the error that a body of `run(batch)` raises."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(body: str) -> tuple[str, str] | None:
        text = textwrap.dedent(HELPERS) + "def run(batch):\n" + textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / "of_a_test.py").write_text(text)
        module = importlib.import_module("of_a_test")
        try:
            module.run([*FILES])
        except BaseException as error:
            return file_at(error, FILES, str(tmp_path))
        finally:
            del sys.modules["of_a_test"]
            _function_of.cache_clear()
        raise AssertionError("raises nothing")

    return run


@pytest.mark.parametrize(
    "body",
    [
        "for path in batch:\n    check(path)",
        "for path in batch:\n    if path.endswith('b.csv'): raise SystemExit(1)",
        "for path in map(Path, batch):\n    if path.name == 'b.csv': raise ValueError",
        "for number, path in enumerate(batch):\n    1 / (1 - number)",
        "for number in range(3):\n    path = batch[number]\n    1 / (1 - number)",
        "todo = batch[:]\nwhile todo:\n    path = todo.pop(0)\n    if path.endswith('b.csv'): raise ValueError",
        "for path in batch:\n    with open(os.devnull):\n        if path.endswith('b.csv'): raise ValueError",
        "for path in batch:\n    try:\n        check(path)\n    finally:\n        path * 2",
        "for path in batch:\n    try:\n        check(path)\n    except ValueError as e:\n        raise KeyError from e",
        "for other in batch:\n    for path in batch:\n        if path != other and path != batch[2]: raise ValueError",
        "list(map(check, batch))",
        "list(map(lambda path: 1 / (not path.endswith('b.csv')), batch))",
        "list(1 / (not path.endswith('b.csv')) for path in batch)",
        "[check(path) for path in batch]",
        "list(letter for path in batch for letter in map(check, [path]))",
        "list(number for path in batch[1:] for number in map(int, 'x'))",
        "list(1 for path in batch if check(path))",
        "list(1 for number, path in enumerate(batch) if 1 / (1 - number))",
        "with ThreadPoolExecutor(2) as pool:\n    list(pool.map(check, batch))",
        "asyncio.run(all_later(batch))",
        "decorated(batch[1])",
        "keyword(path=batch[1])",
        "errors = []\nfor path in batch:\n    try:\n        check(path)\n    except ValueError as error:\n"
        "        errors.append(error)\nraise errors[0]",
        "def again(count):\n    again(count + 1)\nfor path in batch[1:]:\n    again(0)",
    ],
)
def test_the_file_is_named_where_it_is_clear(raised: Raised, body: str) -> None:
    found = raised(body)
    assert found is not None and found[0] == "/in/b.csv"


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError",
        "for path in batch:\n    pass\nraise ValueError(path)",
        "first = batch[0]\nfor number in range(3):\n    raise ValueError",
        "for path, after in zip(batch, batch[1:]):\n    raise ValueError",
        "raise collect(batch)[0]",
        "errors = []\nfor path in batch:\n    try:\n        if path.endswith('b.csv'): raise ValueError\n"
        "    except ValueError as error:\n        errors.append(error)\nraise errors[0]",
        "rebound(batch[1])",
        "for path in map(Evil, batch):\n    raise ValueError",
        "for path, number in zip(batch, map(int, '1x')): print(path)",
        "for path in batch: pass\nfor path in sorted(batch, key=len(batch)): pass",
        "list(path for path, number in zip(batch, map(int, '1x')))",
        "list(path for number in [1] for path, number in zip(batch, map(int, '1x')))",
        "path = batch[0]\nwhile int(path): path = batch[1]",
        "for path in batch: pass\nfor number in range(1):\n    path: str\n    raise ValueError",
        "for path in ['/in/d.csv']:\n    raise ValueError",
        "exec('for path in batch:\\n    raise ValueError')",
    ],
)
def test_nothing_is_said_where_it_is_not_clear(raised: Raised, body: str) -> None:
    assert raised(body) is None


def test_it_says_how_it_is_known(raised: Raised) -> None:
    found = raised("for path in batch:\n    raise EvilError")
    assert found is not None and found[0] == "/in/a.csv"
    how, _, place = found[1].partition(", line ")
    assert (how, place.partition(" ")[2]) == ("the value of `path` in run()", "of of_a_test.py")
    assert file_at(ValueError(), FILES, "/") is None


def test_a_script_that_was_edited_meanwhile_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "edited_script.py"
    path.write_text("def run(batch):\n    for path in batch:\n        raise ValueError\n")
    module = importlib.import_module("edited_script")
    path.write_text("# one more line\n\n\ndef run(batch):\n    for path in batch:\n        pass\n    1 / 0\n")
    with pytest.raises(ValueError) as caught:
        module.run(FILES)
    assert file_at(caught.value, FILES, str(tmp_path)) is None
