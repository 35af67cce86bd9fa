"""What batchtwin_node imports: it runs where there is nothing but the standard library, and never the controller."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT

SOURCE = ROOT / "src"
FILES = sorted(path for package in ("batchtwin_node", "azureml_user") for path in (SOURCE / package).rglob("*.py"))
OWN = {"batchtwin_node", "azureml_user"}
# What an environment may bring; everything else of a deployment is imported by its scripts and models.
OPTIONAL = {"fastparquet", "mlflow", "numpy", "pandas", "PIL", "pyarrow", "skops", "sklearn", "threadpoolctl"}


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """The top names of what is imported."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            names.add(str(node.module).partition(".")[0])
    return names


def at_run_time(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Everything but what stands under `if TYPE_CHECKING`."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            yield from at_run_time(statement.orelse)
        else:
            yield from ast.walk(statement)


def at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """What runs when a module is imported: nothing of its functions."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_it_may(path: Path) -> None:
    body = ast.parse(path.read_bytes()).body
    assert imported(at_import(body)) <= OWN | sys.stdlib_module_names
    assert imported(at_run_time(body)) <= OWN | sys.stdlib_module_names | OPTIONAL


def test_every_module_is_imported_without_site_packages() -> None:
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in FILES]
    code = "import sys; sys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]: __import__(name)"
    modules = [name for name in names if not name.endswith("__main__")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(SOURCE), *modules], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
