"""Which file of a mini-batch a script was at when it raised: by the variables of its frames, if they are clear."""

from __future__ import annotations

import ast
import dis
import linecache
import os
from collections import Counter
from functools import lru_cache
from pathlib import PosixPath, WindowsPath
from types import CodeType, FrameType, TracebackType
from typing import Any, FrozenSet, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

# Functions whose variables are what they iterate over.
COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
# Flags of a function's code: its variables are its own, in no mapping of the script's.
OPTIMIZED = 1
Loop = (ast.For, ast.AsyncFor, ast.While)
Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_traceback_of = BaseException.__dict__["__traceback__"].__get__


def file_at(error: BaseException, files: Sequence[str], folder: str) -> Optional[Tuple[str, str]]:
    """Return the one of `files` that the code in `folder` was at, and how that is known; None if it is not clear.

    This raises nothing and runs no code of the script: it compares only texts and paths of the standard library.
    """
    try:
        return _search(_traceback_of(error), frozenset(files), os.path.realpath(folder) + os.sep)
    except Exception:
        return None


def _search(trace: Optional[TracebackType], files: FrozenSet[str], top: str) -> Optional[Tuple[str, str]]:
    entries: List[TracebackType] = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    times = Counter(id(entry.tb_frame) for entry in entries)
    for entry in reversed(entries):
        frame, line = entry.tb_frame, entry.tb_lineno
        # A frame that went on after the exception, and raised it again, may have moved to another file.
        if times[id(frame)] > 1 or not _is_function_in(top, frame):
            continue
        values = {name: path for name, value in frame.f_locals.items() if (path := _path(value)) in files}
        for names in _current_names(frame, line, entry.tb_lasti) if values else ():
            paths = {values[name] for name in names if name in values}
            if len(paths) > 1:
                return None
            for path in paths:
                name = min(name for name in names if values.get(name) == path)
                return path, f"the value of `{name}` in {_place(frame, line)}"
    return None


def _is_function_in(top: str, frame: FrameType) -> bool:
    code = frame.f_code
    return bool(code.co_flags & OPTIMIZED) and os.path.realpath(code.co_filename).startswith(top)


def _path(value: Any) -> Optional[str]:
    if type(value) is str:
        return value
    return str(value) if type(value) in (PosixPath, WindowsPath) else None


def _place(frame: FrameType, line: int) -> str:
    code = frame.f_code
    name = code.co_name if code.co_name.startswith("<") else f"{code.co_name}()"
    return f"{name}, line {line} of {os.path.basename(code.co_filename)}"


def _current_names(frame: FrameType, line: int, instruction: int) -> Iterator[Set[str]]:
    """Yield the variables that a frame works on at a line and an instruction of its code, the nearest first.

    First those of the loops around the line, then the parameters. Others may be left over from an earlier loop.
    """
    code = frame.f_code
    if code.co_name in COMPREHENSIONS:
        yield _stored_before(code, instruction)
        return
    parameters = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
    if code.co_name == "<lambda>":
        yield parameters
        return
    function = _function_of(code.co_filename, code.co_name, code.co_firstlineno)
    if function is None:
        return
    nodes = [*_own_nodes(function)]
    now = frame.f_lineno or line
    loops = [node for node in nodes if isinstance(node, Loop) and _holds(node, line) and _holds(node, now)]
    for loop in sorted(loops, key=lambda node: -node.lineno):
        target = _stored([loop.target]) if not isinstance(loop, ast.While) else set()
        yield target
        yield _stored(part for part in loop.body if (part.end_lineno or line) < line and _is_assignment(part)) - target
    yield parameters - _stored(nodes)


def _stored_before(code: CodeType, end: int) -> Set[str]:
    """Return the variables of a comprehension that have a new value at an instruction.

    Where it gets its next element, they have that of the last one.
    """
    names: Set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.offset < end and instruction.opname.startswith("STORE_"):
            value = instruction.argval
            names.update(value if isinstance(value, tuple) else (value,))
    return names


@lru_cache(maxsize=32)
def _function_of(file: str, name: str, first_line: int) -> Optional[ast.AST]:
    """Return the syntax tree of a function; None if its file has changed."""
    for node in ast.walk(ast.parse("".join(linecache.getlines(file)))):
        if isinstance(node, Function) and node.name == name:
            if min(part.lineno for part in (node, *node.decorator_list)) == first_line:
                return node
    return None


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below a node, without the functions in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (*Function, ast.Lambda, ast.ClassDef)):
            yield from _own_nodes(child)


def _holds(loop: Any, line: int) -> bool:
    """Whether a line is in a loop's body, and not in its head, where the variables have the values of before."""
    head: Any = loop.test if isinstance(loop, ast.While) else loop.iter
    return bool(head.end_lineno < line <= loop.body[-1].end_lineno)


def _is_assignment(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) or (isinstance(node, ast.AnnAssign) and node.value is not None)


def _stored(nodes: Iterable[ast.AST]) -> Set[str]:
    names = (name for node in nodes for name in ast.walk(node))
    return {name.id for name in names if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
