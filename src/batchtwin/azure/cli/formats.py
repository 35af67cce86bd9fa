"""What a command's result looks like: `--query` and `-o`, to the byte as the Azure CLI prints them.

Source: `knack.output` and `knack.query`, the library that prints for `az`.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from batchtwin.errors import UsageError

# What `-o table` leaves out, as knack does.
SKIPPED = ("id", "type", "etag")
# A column of a table is at least this much wider than its name.
HEADER_PADDING = 2


class QueryError(UsageError):
    """A `--query` that is not JMESPath, or that does not fit the result."""

    def __init__(self, query: str, reason: Exception) -> None:
        lines = str(reason).splitlines() or ["?"]
        super().__init__(f"argument --query: invalid jmespath_type value: {query!r} ({lines[0]})")


def check_query(query: str | None) -> None:
    """See that `query` can be read, before anything is done.

    Raises:
        QueryError: it cannot.
    """
    if query is None:
        return
    import jmespath

    try:
        jmespath.compile(query)
    except (jmespath.exceptions.JMESPathError, KeyError) as error:
        raise QueryError(query, error) from None


def select(result: Any, query: str | None) -> Any:
    """Return what a JMESPath `query` finds in `result`; without a query, all of it.

    Raises:
        QueryError: it calls a function with values that it does not take.
    """
    if query is None:
        return result
    import jmespath

    try:
        return jmespath.search(query, result, jmespath.Options(dict_cls=OrderedDict))
    except jmespath.exceptions.JMESPathError as error:
        raise QueryError(query, error) from None


def text_of(result: Any, format: str, *, queried: bool = False) -> str:
    """Return the text of a result in one of `FORMATS`; nothing for no result.

    `queried` keeps the keys in the query's order, in a table.
    """
    if result is None:
        return ""
    return FORMATS[format](result, queried)


def _json(result: Any, queried: bool) -> str:
    return json.dumps(result, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _coloured_json(result: Any, queried: bool) -> str:
    return _coloured(_json(result, queried), "json")


def _coloured_yaml(result: Any, queried: bool) -> str:
    return _coloured(_yaml(result, queried), "yaml")


def _coloured(text: str, language: str) -> str:
    """Colour a text for a terminal; a file or a pipe gets it as it is."""
    if not sys.stdout.isatty():
        return text
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console(force_terminal=True)
    with console.capture() as coloured:
        console.print(Syntax("", language, theme="ansi_dark").highlight(text), soft_wrap=True, end="")
    return coloured.get()


def _yaml(result: Any, queried: bool) -> str:
    import yaml

    plain = json.loads(json.dumps(result))
    return yaml.safe_dump(plain, default_flow_style=False, allow_unicode=True)


def _none(result: Any, queried: bool) -> str:
    return ""


def _tsv(result: Any, queried: bool) -> str:
    return "".join(f"{_row(item)}\n" for item in _items(result))


def _row(item: Any) -> str:
    """A line: the values of a mapping (by name, unless a query ordered them) or of a list, between tabs."""
    if isinstance(item, OrderedDict):
        return "\t".join(map(_cell, item.values()))
    if isinstance(item, dict):
        return "\t".join(_cell(value) for _, value in sorted(item.items()))
    if isinstance(item, list):
        return "\t".join(map(_cell, item))
    return str(item).lower() if isinstance(item, bool) else _cell(item)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value))
    return "" if isinstance(value, dict) else str(value)


def _table(result: Any, queried: bool) -> str:
    rows = [_columns(item, queried) for item in _items(result)]
    headers = list(dict.fromkeys(name for row in rows for name in row))
    if not headers:
        return "\n"
    cells = [[_stripped(row.get(name)) for name in headers] for row in rows]
    names = (name + " " * HEADER_PADDING for name in headers)
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    lines = [headers, ["-" * width for width in widths], *cells]
    return "".join(f"{_padded(line, widths)}\n" for line in lines)


def _columns(item: Any, queried: bool) -> dict[str, Any]:
    """What a table shows of an item: single values only, under their capitalised names."""
    if isinstance(item, dict):
        names = item if queried else sorted(item)
        shown = (name for name in names if name not in SKIPPED and not isinstance(item[name], list | dict | None))
        return {name[:1].upper() + name[1:]: item[name] for name in shown}
    if isinstance(item, list):
        return {f"Column{number}": value for number, value in enumerate(item, 1)}
    return {"Result": item}


def _stripped(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _padded(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _items(result: Any) -> list[Any]:
    return result if isinstance(result, list) else [result]


FORMATS: dict[str, Callable[[Any, bool], str]] = {
    "json": _json,
    "jsonc": _coloured_json,
    "none": _none,
    "table": _table,
    "tsv": _tsv,
    "yaml": _yaml,
    "yamlc": _coloured_yaml,
}
