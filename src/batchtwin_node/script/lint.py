"""What experience says will go wrong in a scoring script, found without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Union

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def lint(path: Path, model: str = "") -> list[str]:
    """Return a sentence, with file and line, for each thing that looks wrong. The script parses.

    `model` is the name of the deployment's model, empty for one without a name.
    """
    tree = ast.parse(path.read_bytes(), filename=str(path))
    functions = {node.name: node for node in tree.body if isinstance(node, FUNCTIONS)}
    found = [
        *_missing_functions_of_mlflow(tree),
        *_what_only_the_service_has(tree, model),
        *_generators(functions),
        *_lost_names(functions, _names_of_the_module(tree)),
        *_locals_before_assignment(functions, _names_of_the_module(tree)),
    ]
    return [f"{path}:{line}: {text}" for line, text in sorted(found)]


def _missing_functions_of_mlflow(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func) in {"mlflow.pyfunc.load", "pyfunc.load"}:
            yield node.lineno, "mlflow.pyfunc.load does not exist; use mlflow.pyfunc.load_model"


def _what_only_the_service_has(tree: ast.Module, model: str) -> Iterator[tuple[int, str]]:
    """What scripts of the first SDK ask of the workspace."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "workspace" and isinstance(node.value, ast.Attribute):
            if node.value.attr == "experiment":
                yield node.lineno, "a local job has no workspace of Azure ML; use AZUREML_MODEL_DIR and the files"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            name = node.args[0]
            is_name = node.func.attr == "get_model_path" and isinstance(name, ast.Constant)
            if model and is_name and isinstance(name, ast.Constant) and name.value != model:
                yield node.lineno, f"get_model_path({name.value!r}): only the deployment's model is here, {model!r}"


def _dotted(node: ast.expr) -> str:
    """Return a name with dots as it is written, and an empty text for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    inner = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _generators(functions: dict[str, Function]) -> Iterator[tuple[int, str]]:
    for node in _own_nodes(functions.get("run")):
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            yield (
                node.lineno,
                "run() yields, so it returns a generator; collect the rows and return a list or a DataFrame",
            )
            return


def _lost_names(functions: dict[str, Function], known: set[str]) -> Iterator[tuple[int, str]]:
    """Names that init() sets without `global`, and another function reads: they are gone when init() returns."""
    init = functions.get("init")
    if init is None:
        return
    local = _stored(init) - _declared_global(init)
    for name, function in functions.items():
        if name != "init":
            for lost in sorted((local & _read_from_outside(function)) - known):
                yield (
                    init.lineno,
                    f"init() sets '{lost}' only for itself, and {name}() reads it; add `global {lost}` to init()",
                )


def _locals_before_assignment(functions: dict[str, Function], known: set[str]) -> Iterator[tuple[int, str]]:
    """Module names that a function both reads first and assigns: Python takes them for locals."""
    for name, function in functions.items():
        local = (_stored(function) & known) - _declared_global(function)
        firsts: dict[str, ast.Name] = {}
        names = [node for node in _own_nodes(function) if isinstance(node, ast.Name) and node.id in local]
        # Of an assignment, the value comes before the target.
        for node in sorted(names, key=lambda node: (node.lineno, isinstance(node.ctx, ast.Store), node.col_offset)):
            firsts.setdefault(node.id, node)
        for lost, node in sorted(firsts.items()):
            if isinstance(node.ctx, ast.Load):
                text = f"{name}() reads '{lost}' before it assigns it; add `global {lost}`, or use another name"
                yield node.lineno, text


def _own_nodes(function: Function | None) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions and classes in it."""
    waiting: list[ast.AST] = list(function.body) if function else []
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _stored(function: Function) -> set[str]:
    nodes = _own_nodes(function)
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _declared_global(function: Function) -> set[str]:
    return {name for node in _own_nodes(function) if isinstance(node, ast.Global) for name in node.names}


def _read_from_outside(function: Function) -> set[str]:
    own = _stored(function) - _declared_global(function)
    own |= {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
    nodes = ast.walk(function)
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)} - own


def _names_of_the_module(tree: ast.Module) -> set[str]:
    """Everything that is bound at the module's top."""
    names = set()
    for statement in tree.body:
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            names.add(statement.name)
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.alias):
                    names.add((node.asname or node.name).split(".")[0])
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.add(node.id)
    return names
