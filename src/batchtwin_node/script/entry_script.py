"""Load and check a scoring script, and call its `init`, `run` and `shutdown`."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from batchtwin_node.codec import value_object
from batchtwin_node.errors import NodeError
from batchtwin_node.protocol import FilePart
from batchtwin_node.script.context import MiniBatchContext, takes_context

NO_RUN = "no run(); a scoring script needs `def run(mini_batch): ...` that returns a list or a DataFrame"
NO_MLFLOW = "no module mlflow in this environment"
# Functions that can bind names of a module.
BINDERS = frozenset({"exec", "globals", "vars", "locals", "setattr"})
DRIVER = "batchtwin_node.driver.mlflow_driver"


class ScriptError(NodeError):
    """A scoring script that cannot be run, found before anything is scored.

    `key` is the key of code_configuration that is wrong, empty if it is the script itself.
    """

    def __init__(self, text: str, key: str = "") -> None:
        super().__init__(text)
        self.key = key


@value_object
class LoadedScript:
    """A loaded scoring script: `run` takes the files and the number of a mini-batch.

    `init` and `shutdown` do nothing where the script has none. `run_part(path, part)` is the MLflow driver's.
    """

    init: Callable[[], object]
    run: Callable[[list[str], int], object]
    shutdown: Callable[[], object]
    run_part: Callable[[str, FilePart], object] | None = None

    @classmethod
    def load(cls, script: tuple[str, str] | None) -> LoadedScript:
        """Import a script given as (code folder, path in it), or the MLflow driver for None.

        The code folder goes to the front of `sys.path`, so that siblings import [A]. Whatever the script raises
        on import comes through.
        """
        if script is None:
            if importlib.util.find_spec("mlflow") is None:
                raise ScriptError(NO_MLFLOW)
            module = importlib.import_module(DRIVER)
            module.preload()
        else:
            folder, name = script
            sys.path.insert(0, folder)
            module = _import(Path(folder), name)
        if not callable(getattr(module, "run", None)):
            raise ScriptError(NO_RUN)
        run_part = module.run_part if script is None else None
        run = _run_of(module.run)
        return cls(getattr(module, "init", _nothing), run, getattr(module, "shutdown", _nothing), run_part)


def _run_of(run: Callable[..., object]) -> Callable[[list[str], int], object]:
    if takes_context(run):
        return lambda files, number: run(files, MiniBatchContext.of(number))
    return lambda files, number: run(files)


def _nothing() -> None:
    return None


def _import(folder: Path, name: str) -> Any:
    """Import the script: `sub/x.py` is module `sub.x` [A], even if a module of that name has been imported already."""
    dotted = ".".join(_parts(name))
    sys.modules.pop(dotted, None)
    module = importlib.import_module(dotted)
    if Path(str(module.__file__)).resolve() != (folder / name).resolve():
        raise ImportError(f"'{dotted}' is {module.__file__}, not {folder / name}: rename the scoring script")
    return module


def check(folder: Path, name: str) -> None:
    """Check a script without running it: it is a module of the folder that compiles, with a `run` for the files [A,
    early +].

    Raises:
        ScriptError: naming file and line.
    """
    path = folder / name
    if not folder.is_dir():
        problem = "is no folder" if folder.exists() else "no such code folder"
        raise ScriptError(f"{folder}: {problem}; see code_configuration.code in the deployment", "code")
    _check_place(folder, name)
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, str(path), "exec", dont_inherit=True)
    except FileNotFoundError:
        text = f"{path}: no such scoring script; see code_configuration in the deployment"
        raise ScriptError(text, "scoring_script") from None
    except SyntaxError as error:
        location = f"{path}:{error.lineno}" if error.lineno else f"{path}"
        raise ScriptError(f"{location}: syntax error: {error.msg}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ScriptError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if _is_open(tree):
        return  # run() may come from elsewhere; the import will show
    _check_arity(path, tree.body, "init", (0,))
    if not _check_arity(path, tree.body, "run", (1, 2)):
        raise ScriptError(f"{path}: {NO_RUN}")


def _check_place(folder: Path, name: str) -> None:
    """Refuse a script that is no module of the code folder: that folder alone goes to the service."""
    advice = "name a file in the code folder, relative to it, in code_configuration.scoring_script"
    if "\0" in name:
        raise ScriptError(f"scoring script {name!r}: no path holds a NUL character; {advice}")
    if os.path.isabs(name):
        raise ScriptError(f"scoring script '{name}': is an absolute path; {advice}")
    top, path = os.path.realpath(folder), os.path.realpath(folder / name)
    if os.path.commonpath([top, os.path.normpath(os.path.join(top, name))]) != top:
        raise ScriptError(f"scoring script '{name}': leads out of the code folder {folder}; {advice}")
    if os.path.commonpath([top, path]) != top:
        raise ScriptError(f"{folder / name}: is a link to {path}, out of the code folder; put a copy there")
    is_module = name.endswith(".py") and not any("." in part for part in _parts(name))
    if not is_module and os.path.lexists(path):
        raise ScriptError(f"{folder / name}: is imported as a module, so it must end in .py, without other dots")


def _parts(name: str) -> tuple[str, ...]:
    return Path(os.path.normpath(name)).with_suffix("").parts


def _is_open(tree: ast.AST) -> bool:
    """Whether the module's top may bind names that its text does not show."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            return True
        if isinstance(node, ast.Name) and node.id in BINDERS:
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and _is_open(node):
            return True
    return False


def _check_arity(path: Path, body: Sequence[ast.stmt], name: str, arguments: tuple[int, ...]) -> bool:
    """Whether `name` is bound at the module's top. Refuses a function that cannot take `arguments`."""
    bound = False
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            bound = True
            if isinstance(node, ast.AsyncFunctionDef):
                raise ScriptError(f"{path}:{node.lineno}: {name}() is `async def`, and nothing awaits it: write `def`")
            if not any(_takes(node, count) for count in arguments):
                takes = "no argument" if arguments == (0,) else "one argument, the list of file paths, or a context too"
                raise ScriptError(f"{path}:{node.lineno}: {name}() has to take {takes}")
        else:
            bound = bound or any(_binds(child, name) for child in ast.walk(node))
    return bound


def _takes(node: ast.FunctionDef | ast.AsyncFunctionDef, count: int) -> bool:
    positional = len(node.args.posonlyargs) + len(node.args.args)
    least = positional - len(node.args.defaults)
    needed_words = sum(default is None for default in node.args.kw_defaults)
    return least <= count and (positional >= count or node.args.vararg is not None) and not needed_words


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return isinstance(node.ctx, ast.Store) and node.id == name
    if isinstance(node, ast.alias):
        return (node.asname or node.name) == name
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name
