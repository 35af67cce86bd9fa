"""What a command's result looks like: `--query` and `-o`, by knack, the library that prints for the Azure CLI."""

from __future__ import annotations

import sys
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

from batchtwin.errors import UsageError

FORMATS = ("json", "jsonc", "none", "table", "tsv", "yaml", "yamlc")
UNCOLOURED = {"jsonc": "json", "yamlc": "yaml"}


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

    `queried` keeps the keys in the query's order, in a table. Colours are for terminals.
    """
    if result is None:
        return ""
    from knack.output import OutputProducer

    name = format if sys.stdout.isatty() else UNCOLOURED.get(format, format)
    made = SimpleNamespace(result=result, table_transformer=None, is_query_active=queried)
    return str(OutputProducer._FORMAT_DICT[name](made))
