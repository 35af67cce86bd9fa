"""The traceback of a script's exception, without the frames of the runtime and of imports."""

from __future__ import annotations

import os
import traceback

from batchtwin_node.script.entry_script import ScriptError
from batchtwin_node.script.results import WrongTypeError

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
LOADER = os.path.join(PACKAGE, "script", "entry_script.py")
IMPORTLIB = os.path.join("importlib", "__init__.py")


def trace_of(error: BaseException) -> str:
    """Return the traceback of an exception, and of its causes."""
    whole = traceback.TracebackException.from_exception(error)
    if isinstance(error, (ScriptError, WrongTypeError)):
        return "".join(whole.format_exception_only())  # raised by the runtime, about the script: no line of it runs
    _strip(whole, set())
    return "".join(whole.format())


def place_in(folder: str, error: BaseException) -> str:
    """Return `file:line` of the last line in `folder` that led to an exception; empty if there is none."""
    top = os.path.realpath(folder) + os.sep
    if (
        isinstance(error, SyntaxError)
        and isinstance(error.filename, str)
        and os.path.realpath(error.filename).startswith(top)
    ):
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_in(top, frame.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _is_in(top: str, path: str) -> bool:
    return os.path.realpath(path).startswith(top)


def _strip(whole: traceback.TracebackException, visited: set[int]) -> None:
    """Remove frames, in place, of an exception, its causes and its contexts; at least one frame stays."""
    if id(whole) in visited:
        return
    visited.add(id(whole))
    frames = [frame for frame in whole.stack if not _is_import(frame.filename)]
    is_runtime = [frame.filename.startswith(PACKAGE) for frame in frames]
    if not all(is_runtime):
        whole.stack[:] = frames[is_runtime.index(False) :]
    for other in (whole.__cause__, whole.__context__, *(getattr(whole, "exceptions", None) or ())):
        if other is not None:
            _strip(other, visited)


def _is_import(path: str) -> bool:
    return path == LOADER or path.startswith("<frozen importlib") or path.endswith(IMPORTLIB)
