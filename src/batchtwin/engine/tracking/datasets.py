"""The datasets that scripts name as inputs of their run, read from the file stores of workers. No MLflow here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from batchtwin import safe_open
from batchtwin_node.codec import value_object

# Limits: bytes of a description, characters of a text in it, datasets of a job.
LONGEST_FILE, LONGEST_TEXT, MOST = 1 << 18, 60_000, 1000
META = "meta.yaml"


@value_object
class DatasetUse:
    """A dataset that a script logged as an input: `facts` are MLflow's fields of it, `tags` those of its use."""

    facts: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]


def uses_of(experiment: Path, run: Path, root: Path) -> Iterator[DatasetUse]:
    """Yield the inputs of a run of a file store; invalid descriptions are left out."""
    for file in sorted((run / "inputs").glob(f"*/{META}"))[:MOST]:
        use = _read(file, root)
        name = str(use.get("source_id", ""))
        if "/" in name or not name or use.get("source_type") != "DATASET":
            continue
        facts = _texts(_read(experiment / "datasets" / name / META, root))
        if {"name", "digest", "source_type", "source"} <= {key for key, _ in facts}:
            tags = use.get("tags")
            yield DatasetUse(facts, _texts(tags if isinstance(tags, dict) else {}))


def _texts(values: dict[Any, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), str(value)[:LONGEST_TEXT]) for key, value in values.items() if value is not None)


def _read(path: Path, root: Path) -> dict[Any, Any]:
    try:
        with safe_open.open_file(path, "rb", root) as stream:
            values = yaml.load(stream.read(LONGEST_FILE), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
