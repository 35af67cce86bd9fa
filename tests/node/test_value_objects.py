"""Value objects are equal, hashed and shown by all their fields."""

from __future__ import annotations

import copy
import pickle
from dataclasses import field, replace
from typing import Any

import pytest

from batchtwin_node.codec import value_object


@value_object
class Place:
    file: str
    row: int = 0


@value_object
class Other:
    file: str
    row: int = 0


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (Place("a", 1), True),
        (replace(Place("b", 1), file="a"), True),
        (copy.deepcopy(Place("a", 1)), True),
        (pickle.loads(pickle.dumps(Place("a", 1))), True),  # noqa: S301 - of this test
        (Place("a"), False),
        (Other("a", 1), False),
        (("a", 1), False),
    ],
)
def test_equality(other: object, is_same: bool) -> None:
    place = Place("a", 1)
    assert (place == other, {place: 1}.get(other, 0)) == (is_same, int(is_same))  # type: ignore[call-overload]


def test_text() -> None:
    assert repr(Place("a")) == "Place(file='a', row=0)"


@pytest.mark.parametrize("setting", [{"repr": False}, {"compare": False}, {"hash": False}])
def test_a_field_that_is_left_out_of_them_is_refused(setting: Any) -> None:
    def make() -> None:
        @value_object
        class Secret:
            name: str
            password: str = field(default="", **setting)

    with pytest.raises(TypeError, match=r"Secret\.password: a value object shows and compares all its fields"):
        make()
