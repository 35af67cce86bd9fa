"""`KEY=VALUE` arguments and dotted keys, as in `--set settings.mini_batch_size=4`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchtwin.errors import UsageError


def parse_pairs(option: str, words: Sequence[str] | None, example: str = "") -> dict[str, str]:
    """Split the `KEY=VALUE` arguments of an option; a key may be dotted.

    Raises:
        UsageError: an argument has another form; `example` is shown with it.
    """
    pairs = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals or not all(key.split(".")):
            raise UsageError(f"{option} {word}: expected KEY=VALUE" + (f", as in {example}" if example else ""))
        pairs[key] = value
    return pairs


def parse_set(words: Sequence[str] | None) -> dict[str, str]:
    """Split the arguments of `--set`.

    Raises:
        UsageError: an argument is not KEY=VALUE.
    """
    return parse_pairs("--set", words, "settings.mini_batch_size=4")


def set_dotted(data: dict[str, Any], dotted: str, value: object) -> None:
    """Set a dotted key in nested mappings, which are copied on the way; missing ones are made."""
    *above, key = dotted.split(".")
    for part in above:
        inner = data.get(part)
        data[part] = dict(inner) if isinstance(inner, dict) else {}
        data = data[part]
    data[key] = value
