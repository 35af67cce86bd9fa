"""`--set`, `--add`, `--remove` and `--force-string` of the update verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchtwin.azure.cli.files import as_text, drop, pairs, put, value_of
from batchtwin.errors import UsageError


def overrides(sets: Sequence[str] | None, force_string: bool) -> dict[str, str]:
    """Return what `--set` asks for, as dotted keys to JSON or text; with `--force-string` the values are text.

    Raises:
        UsageError: a word is not KEY=VALUE.
    """
    split = pairs("--set", sets)
    return as_text(split) if force_string else split


def changed(
    shown: Mapping[str, Any],
    sets: Sequence[str] | None,
    add: Sequence[str] | None,
    remove: Sequence[str] | None,
    force_string: bool,
) -> dict[str, Any]:
    """Return a copy of what `show` prints, changed as the options ask.

    Raises:
        UsageError: an option names what is not there, or adds to what is not a list.
    """
    data = dict(shown)
    for dotted, text in overrides(sets, force_string).items():
        put(data, dotted, value_of(text))
    for dotted in remove or ():
        drop(data, dotted)
    refuse_add(add)
    return data


def refuse_add(add: Sequence[str] | None) -> None:
    """Refuse `--add`: neither endpoints nor deployments of a model have a list.

    Raises:
        UsageError: saying what to use instead.
    """
    if add:
        raise UsageError(f"--add {add[0]}: there is no such list; tags and properties are mappings, use --set")
