"""Lines -> records."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtwin.compare.grammar import Grammar, Joiner, shown

COMMA = Grammar(b",", tidy=True)
SPACE = Grammar(b" ", tidy=False)


def records(grammar: Grammar, text: str) -> list[str]:
    """Join a text's lines, given one block per line."""
    joiner = Joiner(grammar)
    found = [record for line in text.encode().split(b"\n") for record in joiner.join([line])]
    return [shown(record) for record in [*found, *joiner.rest()]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\nc", ["a,b", "c"]),
        ('"a\nb",c\nd', ['"a\nb",c', "d"]),
        ('"a"\n"b"', ["a", "b"]),
        ('"a""\n""",b', ['"a""\n""",b']),
        ('a,"\n","\n",b', ['a,"\n","\n",b']),
        ('"a\nb', ['"a', "b"]),
        ('"a\n"b"\nc', ['"a', "b", "c"]),
        ('a"b\nc"d', ['a"b', 'c"d']),
        ('"', ['"']),
        ('""', [""]),
    ],
)
def test_records(text: str, expected: list[str]) -> None:
    assert records(COMMA, text) == expected


def test_records_keep_their_quotes_unless_tidied() -> None:
    assert records(SPACE, '"a" "b\nc"\nd') == ['"a" "b\nc"', "d"]


@given(st.lists(st.lists(st.text(), min_size=2, max_size=4), min_size=1, max_size=10))
def test_what_csv_writes_is_read_again(rows: list[list[str]]) -> None:
    rows = [[field.replace("\r", "") for field in row] for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    joiner = Joiner(COMMA)
    joined = [*joiner.join(text.getvalue().encode().split(b"\n")[:-1]), *joiner.rest()]
    found = [[field.decode() for field in COMMA.fields(record)] for record in joined]
    assert found == [[_escaped(field) for field in row] for row in rows]


def _escaped(field: str) -> str:
    return field.replace("\0", "\0\0").replace("\n", "\0n")
