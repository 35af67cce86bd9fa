"""Errors with `--json`: one object, like that of a result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from batchtwin.cli.messages import print_json
from batchtwin.errors import CANCELED, FAILED, BatchTwinError, DeploymentError
from batchtwin.redaction import print_traceback


def is_for_programs(arguments: Sequence[str], other: Collection[str]) -> bool:
    """Whether the arguments of a command contain `--json`; the commands `other` have their own."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options and next((word for word in arguments if not word.startswith("-")), "") not in other


def run_for_programs(command: Callable[[], Any], *, debug: bool) -> int:
    """Run a command and return its exit code. An error is printed as an object; `debug` adds its traceback."""
    try:
        code = command()
    except SystemExit:
        raise
    except BaseException as error:
        known = isinstance(error, BatchTwinError | KeyboardInterrupt) or hasattr(error, "format_message")
        if debug or not (known or isinstance(error, OSError)):
            print_traceback()
        data = data_of(error)
        print_json(data)
        return int(data["exit_code"])
    return code if isinstance(code, int) else 0


def data_of(error: BaseException) -> dict[str, Any]:
    """Return an error for programs: `error` is the text that people see, `kind` its class."""
    kind = type(error).__name__
    if isinstance(error, BatchTwinError):
        data: dict[str, Any] = {"error": str(error), "kind": kind, "exit_code": error.exit_code}
        if isinstance(error, DeploymentError):
            places = [{"key": part.key, "line": part.line, "text": part.text} for part in error.problems]
            data |= {"file": str(error.path), "problems": places}
        return data
    # Errors of the options, from whichever package defines them.
    format_message: Callable[[], str] | None = getattr(error, "format_message", None)
    if format_message is not None:
        return {"error": format_message(), "kind": "UsageError", "exit_code": getattr(error, "exit_code", FAILED)}
    if isinstance(error, KeyboardInterrupt) or kind == "Abort":
        return {"error": "canceled", "kind": "Canceled", "exit_code": CANCELED}
    return {"error": unexpected(error), "kind": kind, "exit_code": FAILED}


def unexpected(error: BaseException) -> str:
    """Return a system error in one line."""
    return f"{type(error).__name__}: {error}; --debug shows where"
