"""What a scoring script will import, read from its text: nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from batchtwin_node.codec import value_object


@value_object
class Import:
    """An import at the top of a file of the code folder: the module's full name, and the line."""

    file: Path
    line: int
    name: str


def imported_by(folder: Path, script: str) -> list[str]:
    """Return the installed modules that a script and its siblings import at their top, in order.

    Left out are modules of the code folder, imports in a `try`, an `if` or a function, and what is not installed: the
    script itself fails on that.
    """
    names = dict.fromkeys(statement.name for statement in top_imports(folder, script))
    return [name for name in names if is_installed(name)]


def top_imports(folder: Path, script: str) -> Iterator[Import]:
    """Yield what a script and its siblings import at their top from outside of the code folder, installed or not."""
    todo, visited = [folder / script], set()
    while todo:
        path = todo.pop(0)
        if path in visited:
            continue
        visited.add(path)
        for statement in _imports(path):
            file = module_file(folder, statement.name)
            if file is None:
                yield statement
            else:
                todo.append(file)


def changes_path(folder: Path, script: str) -> bool:
    """Whether the text of a script, or of a sibling that it imports, changes where modules are searched."""
    files = {folder / script, *(statement.file for statement in top_imports(folder, script))}
    return any(word in _read(file) for file in files for word in (b"sys.path", b"addsitedir", b"meta_path"))


def lies_elsewhere(folder: Path, script: str, name: str) -> str:
    """Say where a module lies that is searched in the code folder: beside the script, below, or above; else ''."""
    top = name.partition(".")[0]
    beside = (folder / script).parent
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for parent in [beside, *below, folder.parent]:
        path = next((path for path in (parent / f"{top}.py", parent / top / "__init__.py") if path.is_file()), None)
        if path is not None and parent != folder:
            shown = path if parent == folder.parent else path.relative_to(folder)
            return f"no module {top}: {shown} is not in the code folder {folder} itself, where modules are looked for"
    return ""


def similar_module(folder: Path, name: str) -> str:
    """Return the module of the code folder whose name is most like that of a missing one; empty if none is."""
    top = name.partition(".")[0]
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return next(iter(get_close_matches(top, modules - {top}, n=1, cutoff=0.75)), "")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _imports(path: Path) -> Iterator[Import]:
    try:
        tree = ast.parse(_read(path))
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield Import(path, node.lineno, node.module)


def module_file(folder: Path, name: str) -> Path | None:
    """Return the file of a module of the code folder, which hides an installed one of that name."""
    top, *_ = name.split(".")
    if not (folder / top).is_dir() and not (folder / f"{top}.py").exists():
        return None
    path = folder.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def is_installed(name: str) -> bool:
    """Whether the module, or the package that it is in, can be imported by this interpreter."""
    # Only the top is looked up: to look further would import it.
    try:
        return find_spec(name.split(".")[0]) is not None
    except (ImportError, ValueError):
        return False
