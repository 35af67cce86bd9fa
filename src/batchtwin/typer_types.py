"""Annotations of commands in forms that every version of Typer reads: neither `X | None` nor `Literal`."""

from __future__ import annotations

import types
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Function = TypeVar("Function", bound=Callable[..., Any])


def portable(function: Function) -> Function:
    """Give a command annotations that every version of Typer reads, and return it."""
    hints = get_type_hints(function, include_extras=True)
    function.__annotations__ = {name: portable_type(hint) for name, hint in hints.items()}
    return function


def portable_type(hint: Any) -> Any:
    """Return a type with `Union` for `|`, and with the choices of a `Literal` of texts as an enumeration of texts."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(portable_type(arguments[0]), *hint.__metadata__)]
    if origin is types.UnionType or origin is Union:
        return Union[tuple(map(portable_type, arguments))]  # noqa: UP007 - what this is for
    if origin is Literal:
        return _choice(arguments)
    return hint


@cache
def _choice(words: tuple[str, ...]) -> Any:
    return StrEnum("Choice", [(word.upper().replace("-", "_"), word) for word in words])
