"""What a scoring script will import, read from its text: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def imported_by(folder: Path, script: str) -> list[str]:
    """Return the installed modules that a script and its siblings import at their top, in order.

    Modules of the code folder are not among them, nor is what stands in a `try`, an `if` or a function, nor what is
    not installed: the script itself will meet that.
    """
    found: dict[str, None] = {}
    todo, seen = [folder / script], set()
    while todo:
        path = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        for name in _imports(path):
            own = _own(folder, name)
            if own is not None:
                todo.append(own)
            elif _is_installed(name):
                found[name] = None
    return list(found)


def _imports(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _own(folder: Path, name: str) -> Path | None:
    """The file of a module of the code folder, which comes before whatever is installed under that name."""
    top, *_ = name.split(".")
    if not (folder / top).is_dir() and not (folder / f"{top}.py").exists():
        return None
    path = folder.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_installed(name: str) -> bool:
    # Only the top is asked for: to look further would import it.
    try:
        return find_spec(name.split(".")[0]) is not None
    except (ImportError, ValueError):
        return False
