"""`--query` and `-o`: to the byte as knack prints them, the library of the Azure CLI."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from knack.output import OutputProducer

from batchtwin.azure.cli.formats import FORMATS, QueryError, check_query, select, text_of

RESULTS: list[Any] = [
    {"a": 1, "b": [1, 2], "c": {"x": 1}, "id": "q", "n": None, "t": True},
    [{"name": "x", "status": "Ok"}, {"name": "ÿy", "z": 2.5}],
    [{"name": "x", "none": None}, {}],
    [],
    {},
    "text",
    "",
    True,
    3,
    [1, "a", True],
    [["a", "b"], ["c", 1]],
    [[]],
    [None],
    ["a"],
    {"type": "x"},
    {"n": "  x ", "m": "12"},
    OrderedDict(z=1, a="b"),
    [OrderedDict(Name="n", Status=None), OrderedDict(Name="longer", Status="s")],
]


@pytest.mark.parametrize("queried", [False, True])
@pytest.mark.parametrize("format", ["json", "yaml", "table", "tsv", "none"])
@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_every_format_is_that_of_knack(result: Any, format: str, queried: bool) -> None:
    formatter = OutputProducer._FORMAT_DICT[format]
    expected = formatter(SimpleNamespace(result=result, table_transformer=None, is_query_active=queried))
    assert text_of(result, format, queried=queried) == expected


@pytest.mark.parametrize("format", FORMATS)
def test_no_result_prints_nothing(format: str) -> None:
    assert text_of(None, format) == ""


def test_colours_are_for_terminals() -> None:
    assert text_of({"a": 1}, "jsonc") == text_of({"a": 1}, "json")


def test_a_query_keeps_its_own_order() -> None:
    found = select([{"name": "j", "status": "Ok"}], "[].{Status:status,Name:name}")
    assert text_of(found, "tsv", queried=True) == "Ok\tj\n"


@pytest.mark.parametrize("query", ["[", "{a", "a b", ""])
def test_a_query_that_cannot_be_read_is_named(query: str) -> None:
    with pytest.raises(QueryError, match="argument --query: invalid jmespath_type value: "):
        check_query(query)


@pytest.mark.parametrize("query", ["nope(@)", "sum(a)"])
def test_a_query_that_does_not_fit_is_named(query: str) -> None:
    check_query(query)
    with pytest.raises(QueryError, match="argument --query: invalid jmespath_type value: "):
        select({"a": "b"}, query)
