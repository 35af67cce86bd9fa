"""Tokens for one container that expire."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from batchtwin.azure.blob.sas import Sas

KEY = bytes(range(32))


def query(token: str) -> dict[str, str]:
    """The parameters of a token."""
    return dict(parse_qsl(token))


def test_a_token_opens_its_container() -> None:
    token = query(Sas(KEY).token("box", 60, "lr"))

    assert token.keys() == {"sv", "sr", "sp", "se", "sig"}
    assert token["sp"] == "rl"
    assert Sas(KEY).check("box", token)
    assert Sas(KEY).check("box", token, "r")


def test_a_token_opens_nothing_else() -> None:
    token = query(Sas(KEY).token("box", 60, "rl"))

    assert not Sas(KEY).check("other", token)
    assert not Sas(KEY).check("box", token, "w")
    assert not Sas(bytes(32)).check("box", token)
    assert not Sas(KEY).check("box", query(Sas(KEY).token("box", -1)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sp", "racwdl"),
        ("se", "2999-01-01T00:00:00Z"),
        ("sr", "b"),
        ("sv", "x"),
        ("sig", ""),
        ("sig", "é"),
        ("sig", "\ud800"),
    ],
)
def test_a_token_that_was_changed(name: str, value: str) -> None:
    assert not Sas(KEY).check("box", query(Sas(KEY).token("box", 60, "r")) | {name: value})


@pytest.mark.parametrize("missing", ["sv", "sr", "sp", "se", "sig"])
def test_a_token_that_lacks_something(missing: str) -> None:
    token = query(Sas(KEY).token("box", 60))
    del token[missing]

    assert not Sas(KEY).check("box", token)


def test_what_makes_no_token() -> None:
    with pytest.raises(ValueError, match="16 at least"):
        Sas(b"short")
    with pytest.raises(ValueError, match="letters of racwdl"):
        Sas(KEY).token("box", 60, "rx")
