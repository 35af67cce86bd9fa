"""Names that a scoring script imports from files of its code folder that do not define them. Nothing is run."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from batchtwin_node.script.imports import changes_path, module_file
from batchtwin_node.script.lint import Scopes, hides_names


def lacking_names(folder: str, script: str) -> Iterator[str]:
    """Yield a sentence, with file and line, for each such name of a script and its siblings.

    What stands in a `try`, `if` or `with` is not looked at, nor what a file may bind in another way than by its text,
    nor a script that changes where modules are looked for.
    """
    todo, seen = [Path(folder, script)], set()
    while todo and not changes_path(Path(folder), script):
        path = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        for line, module, wanted in _imports(_parsed(path)):
            file = module_file(Path(folder), module)
            if file is not None:
                todo.append(file)
                names = _names_of(file) if wanted else None
                lacking = [name for name in wanted if not _is_there(name, file, names)]
                yield from (f"{path}:{line}: {_lacks(module, name, names or set())}" for name in lacking)


def _lacks(module: str, name: str, names: set[str]) -> str:
    near = get_close_matches(name, sorted(names), n=1, cutoff=0.6)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"from {module} import {name}: {module} has no {name}{meant}"


def _is_there(name: str, file: Path, names: set[str] | None) -> bool:
    """Whether a module has a name, or may have it; a package also has its modules."""
    if names is None or name in names or name.startswith("__"):
        return True
    return file.name == "__init__.py" and any(path.stem.split(".")[0] == name for path in file.parent.iterdir())


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the line of each import, the module, and the names that are imported from it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                yield node.lineno, node.module, [alias.name for alias in node.names if alias.name != "*"]
        elif not isinstance(node, (ast.Try, ast.If, ast.With)):
            yield from _imports(node)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def _names_of(path: Path) -> set[str] | None:
    """Return the names that a module binds; None if its text does not show them all."""
    try:
        names = Scopes(symtable.symtable(path.read_text("utf-8-sig"), str(path), "exec")).known
        return None if hides_names(_parsed(path)) or "__getattr__" in names else names
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
