"""Dataclasses as JSON objects, checked field by field: unknown keys, missing keys and wrong types are errors.

Python 3.8 evaluates the annotations at run time, so messages spell them with `typing.Optional`, `Tuple` and `Dict`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Callable, TypeVar, Union, get_type_hints

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """For type checkers only."""
        return lambda function: function


Message = TypeVar("Message")
Check = Callable[[Any], Any]
Kind = TypeVar("Kind", bound=type)
# Python 3.8 and 3.9 cannot make them.
_SLOTS: Any = {"slots": True} if sys.version_info >= (3, 10) else {}


@dataclass_transform(frozen_default=True)
def value_object(kind: Kind) -> Kind:
    """Make a class an immutable dataclass, in a quarter of the time of a frozen one: a job imports 130 of them.

    `dataclass` compiles comparison, hash, text and protection for each class anew; here all classes share them. mypy,
    not the run time, refuses assignments to fields.

    Raises:
        TypeError: a field is not to be shown, or not to be compared, which those methods do not know.
    """
    for name, method in {"__eq__": _equal, "__hash__": _hash, "__repr__": _text}.items():
        if name not in vars(kind):
            setattr(kind, name, method)
    result: Any = dataclasses.dataclass(repr=False, eq=False, **_SLOTS)(kind)
    for field in dataclasses.fields(result):
        if not (field.repr and field.compare and field.hash is None):
            raise TypeError(f"{kind.__qualname__}.{field.name}: a value object shows and compares all its fields")
    return result  # type: ignore[no-any-return]


def _equal(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _text(self: Any) -> str:
    kind: Any = type(self)
    texts = (f"{name}={value!r}" for name, value in zip(_fields(kind)[0], _values(self)))
    return f"{kind.__qualname__}({', '.join(texts)})"


def _values(value: Any) -> tuple[Any, ...]:
    kind: Any = type(value)
    names, read = _fields(kind)
    return read(value) if len(names) > 1 else (read(value),) if names else ()


class CodecError(ValueError):
    """A text that is not the expected message. The error names the field."""


def to_json(message: Any) -> str:
    """Return a message as one line of JSON: `type` first, then its fields."""
    return json.dumps(_object(message), default=_object, separators=(",", ":"))


def _object(message: Any) -> dict[str, Any]:
    kind: Any = type(message)
    plain = dict(zip(_fields(kind)[0], _values(message)))
    name = getattr(message, "TYPE", None)
    return plain if name is None else {"type": name, **plain}


@lru_cache(maxsize=None)
def _fields(kind: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], Any]]:
    names = tuple(field.name for field in dataclasses.fields(kind))
    return names, attrgetter(*names) if names else tuple


def from_json(kind: type[Message], text: str | bytes) -> Message:
    """Return the message of class `kind` in a text.

    Raises:
        CodecError: it holds no such message.
    """
    data = _parsed(text)
    type_name = getattr(kind, "TYPE", None)
    if type_name is not None and data.pop("type", None) != type_name:
        raise CodecError(f"not a message of type {type_name!r}")
    return _build(kind, data)


def any_from_json(kinds: dict[str, type[Any]], text: str | bytes) -> Any:
    """Return the message in a text, of the class that `kinds` has for its `type`.

    Raises:
        CodecError: it holds none of these.
    """
    data = _parsed(text)
    name = data.pop("type", None)
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise CodecError(f"unknown type of message {name!r}")
    return _build(kind, data)


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not JSON: {error}") from None
    if not isinstance(data, dict):
        raise CodecError("not a JSON object")
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _build(kind: type[Message], data: dict[str, Any]) -> Message:
    hashable: Any = kind
    checks, required = _checks(hashable)
    values = {}
    for name, value in data.items():
        check = checks.get(name)
        if check is None:
            raise CodecError(f"{kind.__name__}: unknown key {name!r}")
        try:
            values[name] = check(value)
        except CodecError as error:
            raise CodecError(f"{kind.__name__}.{name}: {error}") from None
    missing = required - values.keys()
    if missing:
        raise CodecError(f"{kind.__name__}: missing key {min(missing)!r}")
    return kind(**values)


@lru_cache(maxsize=None)
def _checks(kind: type[Any]) -> tuple[dict[str, Check], frozenset[str]]:
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    required = (field.name for field in fields if field.default is dataclasses.MISSING)
    return {field.name: _check(hints[field.name]) for field in fields}, frozenset(required)


def _check(hint: Any) -> Check:
    """Return the function that checks a value, and turns lists into tuples and objects into messages."""
    origin: Any = getattr(hint, "__origin__", None)
    arguments: Any = getattr(hint, "__args__", ())
    if origin is Union:  # only Optional
        [inner] = [_check(argument) for argument in arguments if argument is not type(None)]
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _tuple(arguments)
    if origin is dict:
        return _dict(_check(arguments[1]))
    if dataclasses.is_dataclass(hint):
        kind: Any = hint
        return lambda value: _build(kind, _typed(value, dict))
    if hint is float:
        return _float
    return lambda value: _typed(value, hint)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise CodecError(f"{type(value).__name__} in the place of {kind.__name__}")
    return value


def _float(value: Any) -> float:
    if type(value) is not int and type(value) is not float:
        raise CodecError(f"{type(value).__name__} in the place of float")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number in (float("inf"), float("-inf")):
        raise CodecError("not a finite number")
    return number


def _tuple(arguments: Any) -> Check:
    if arguments[-1] is Ellipsis:
        check_item = _check(arguments[0])
        return lambda value: tuple(map(check_item, _typed(value, list)))
    checks = [_check(argument) for argument in arguments]

    def check(value: Any) -> tuple[Any, ...]:
        if len(_typed(value, list)) != len(checks):
            raise CodecError(f"{len(value)} elements in the place of {len(checks)}")
        return tuple(check(element) for check, element in zip(checks, value))

    return check


def _dict(inner: Check) -> Check:
    return lambda value: {key: inner(element) for key, element in _typed(value, dict).items()}
