"""Likely mistakes in a scoring script, found without running it."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Tuple, Union

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
Finding = Tuple[int, str]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Names that a module has, beside those of `builtins`.
OF_MODULES = frozenset({"__file__", "__path__", "__class__", "__annotations__", "__cached__", "__builtins__"})
# A script that uses these may have names that its text does not show.
HIDES_NAMES = frozenset({"globals", "exec", "eval", "vars", "setattr", "modules", "builtins", "__dict__"})
# Calls that never return.
ENDS_PROCESS = frozenset({"exit", "quit", "_exit", "abort", "kill", "execv", "execve", "raise_signal"})


def lint(path: Path, model: str = "") -> list[str]:
    """Return a sentence, with file and line, for each likely mistake. The script compiles.

    `model` is the name of the deployment's model, empty for one without a name.
    """
    try:
        return [f"{path}:{line}: {text}" for line, text in sorted(_findings(path, model))]
    except RecursionError:  # a program wrote it
        return []


def _findings(path: Path, model: str) -> list[Finding]:
    source = path.read_bytes()
    tree = ast.parse(source, filename=str(path))
    functions = {node.name: node for node in tree.body if isinstance(node, FUNCTIONS)}
    scopes = Scopes(symtable.symtable(source.decode("utf-8-sig", "replace"), str(path), "exec"))
    return [
        *_missing_functions_of_mlflow(tree),
        *_what_only_the_service_has(tree, model),
        *_generators(functions),
        *_wrong_results(tree, functions),
        *_lost_names(functions, scopes),
        *_locals_before_assignment(functions, scopes),
        *_unknown_names(tree, functions, scopes),
    ]


class Scopes:
    """Names by scope. `known` are those of the module, even if only a function binds them by `global`."""

    def __init__(self, module: symtable.SymbolTable) -> None:
        self.module = module
        self.functions = {table.get_name(): table for table in module.get_children() if table.get_type() == "function"}
        self.declared = {symbol.get_name() for symbol in _below(module) if symbol.is_declared_global()}
        by_functions = (symbol for symbol in _below(module) if symbol.is_declared_global() and _is_bound(symbol))
        self.known = {symbol.get_name() for symbol in (*filter(_is_bound, module.get_symbols()), *by_functions)}

    def own(self, name: str) -> set[str]:
        """Return the local names of a function, without its parameters."""
        symbols = self.functions[name].get_symbols() if name in self.functions else []
        bound = (symbol for symbol in symbols if symbol.is_local() and not symbol.is_parameter())
        return {symbol.get_name() for symbol in bound if _is_bound(symbol)}

    def read(self, table: symtable.SymbolTable) -> set[str]:
        """Return the names of the module that a scope, or one in it, reads."""
        symbols = (*table.get_symbols(), *_below(table))
        return {symbol.get_name() for symbol in symbols if symbol.is_global() and symbol.is_referenced()}


def _below(table: symtable.SymbolTable) -> Iterator[symtable.Symbol]:
    """The symbols of all scopes in a scope."""
    for child in table.get_children():
        yield from child.get_symbols()
        yield from _below(child)


def _is_bound(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _missing_functions_of_mlflow(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func) in {"mlflow.pyfunc.load", "pyfunc.load"}:
            yield node.lineno, "mlflow.pyfunc.load does not exist; use mlflow.pyfunc.load_model"


def _what_only_the_service_has(tree: ast.Module, model: str) -> Iterator[tuple[int, str]]:
    """Yield uses of the workspace in scripts of the first SDK: only the service has one."""
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
    """Return a dotted name as it is written, and an empty text for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    inner = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _generators(functions: dict[str, Function]) -> Iterator[Finding]:
    for node in _own_nodes(functions.get("run")):
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            text = "run() yields, so it returns a generator; collect the rows and return a list or a DataFrame"
            yield node.lineno, text
            return


def _wrong_results(tree: ast.Module, functions: dict[str, Function]) -> Iterator[Finding]:
    """Yield results of run() that are certainly text, or nothing. A decorator or a second `run` may change them."""
    run = functions.get("run")
    bindings = [node for node in _own_nodes(tree) if _binds_run(node)]
    nodes = list(_own_nodes(run))
    if not isinstance(run, ast.FunctionDef) or run.decorator_list or len(bindings) != 1:
        return
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in nodes):
        return
    values = [node.value for node in nodes if isinstance(node, ast.Return) and node.value]
    results = [value for value in values if not _is_none(value)]
    if results and all(map(_is_text, results)):
        yield (
            min(value.lineno for value in results),
            "run() returns text; return a list with one text per line of output: `return [text]`",
        )
    elif not results and _may_end(run):
        yield run.lineno, "run() returns nothing; end it with `return results`, a list or a DataFrame"


def _binds_run(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "run" and isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.alias):
        return (node.asname or node.name) in {"run", "*"}
    return isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.name == "run"


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_text(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return _is_text(value.body) and _is_text(value.orelse)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in {"join", "format"}:
        return _is_text(value.func.value)
    return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))


def _may_end(run: ast.FunctionDef) -> bool:
    """Whether a function may return: not if it ends with a raise or an endless loop, or ends the process."""
    inner = list(_own_nodes(run))
    if any(isinstance(node, ast.Return) for node in inner):
        return True
    closing = list(ast.walk(run.body[-1]))
    endless = any(isinstance(node, (ast.Raise, ast.Assert, ast.While)) for node in closing)
    calls = (_dotted(node.func).rpartition(".")[2] for node in closing if isinstance(node, ast.Call))
    return not endless and ENDS_PROCESS.isdisjoint(calls)


def _own_nodes(function: Function | ast.Module | None) -> Iterator[ast.AST]:
    """Yield the nodes of a function or module without those of functions and classes in it."""
    waiting: list[ast.AST] = list(function.body) if function else []
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _lost_names(functions: dict[str, Function], scopes: Scopes) -> Iterator[Finding]:
    """Yield names that init() sets without `global`, and another function reads: they are gone when init() returns."""
    assigned = scopes.own("init") - scopes.known
    for name, table in scopes.functions.items():
        if name != "init" and "init" in functions:
            for lost in sorted(assigned & scopes.read(table)):
                text = f"init() sets '{lost}' only for itself, and {name}() reads it; add `global {lost}` to init()"
                yield functions["init"].lineno, text


def _locals_before_assignment(functions: dict[str, Function], scopes: Scopes) -> Iterator[Finding]:
    """Yield module names that a function first reads and then assigns: Python takes them for locals."""
    for name, function in functions.items():
        firsts: dict[str, tuple[bool, int]] = {}
        for read, is_read, line in _uses(function.body):
            firsts.setdefault(read, (is_read, line))
        for assigned in sorted(scopes.own(name) & scopes.known):
            is_read, line = firsts.get(assigned, (False, 0))
            if is_read:
                yield (
                    line,
                    f"{name}() reads '{assigned}' before it assigns it; add `global {assigned}`, or use another name",
                )


def _uses(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, bool, int]]:
    """Yield (name, whether it is read, line) in the order of evaluation, of one scope."""
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id, isinstance(node.ctx, ast.Load), node.lineno
        elif isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name):
                yield node.target.id, True, node.lineno
            yield from _uses([node.value, node.target])
        elif isinstance(node, COMPREHENSIONS):
            yield from _uses([node.generators[0].iter])  # the rest is a scope of its own
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (((alias.asname or alias.name).split(".")[0], False, node.lineno) for alias in node.names)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name, False, node.lineno
        elif not isinstance(node, ast.Lambda):
            yield from _uses(_evaluated(node))


def _evaluated(node: ast.AST) -> list[ast.AST]:
    """Yield the parts of a node in the order of evaluation: the value comes before its target."""
    parts = list(ast.iter_child_nodes(node))
    if isinstance(node, (ast.Assign, ast.NamedExpr, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [*([node.value] if node.value else []), *targets]
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return [node.iter, node.target, *node.body, *node.orelse]
    return parts


def _unknown_names(tree: ast.Module, functions: dict[str, Function], scopes: Scopes) -> Iterator[Finding]:
    """Yield names that are read and never bound: by the module, by `global` in a function, or by Python."""
    if hides_names(tree):
        return
    bound = scopes.known | {*dir(builtins)} | OF_MODULES
    local_names = scopes.own("init") if "init" in functions else set()
    excused = _excused(tree)
    for name, table in scopes.functions.items():
        unknown = scopes.read(table) - bound - (local_names if name != "init" else set())
        for node in ast.walk(functions[name]) if unknown and name in functions else ():
            if isinstance(node, ast.Name) and node.id in unknown and node not in excused:
                unknown.discard(node.id)
                only = "; `global` alone does not set it" if node.id in scopes.declared else ""
                yield node.lineno, f"{name}() reads '{node.id}', which nothing sets{only}"


def hides_names(tree: ast.Module) -> bool:
    """Whether a module may have names that its text does not show."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            return True
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name in HIDES_NAMES:
            return True
    return False


def _excused(tree: ast.Module) -> set[ast.AST]:
    """Yield the nodes whose names need not be bound: annotations, and what a `try` catches."""
    excused: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(_catches_names(handler) for handler in node.handlers):
            excused.update(inner for statement in node.body for inner in ast.walk(statement))
        elif isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation is not None:
            excused.update(ast.walk(node.annotation))
        elif isinstance(node, FUNCTIONS) and node.returns is not None:
            excused.update(ast.walk(node.returns))
    return excused


def _catches_names(handler: ast.ExceptHandler) -> bool:
    names = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else {"Exception"}
    )
    return not names.isdisjoint({"NameError", "Exception", "BaseException", "UnboundLocalError"})
