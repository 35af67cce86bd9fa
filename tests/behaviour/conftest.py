"""Every behaviour test says where its expectation comes from: exactly one provenance mark, with section and rule."""

from __future__ import annotations

from pathlib import Path

import pytest

PROVENANCE = ("documented", "observed", "ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            marks = [mark for mark in item.iter_markers() if mark.name in PROVENANCE]
            if len(marks) != 1 or len(marks[0].args) != 2:
                names = ", ".join(PROVENANCE)
                raise pytest.UsageError(f"{item.nodeid}: needs exactly one mark of {names}, with (section, rule)")
