"""The model's input in an MLmodel file: its signature, and the example that was saved with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchtwin_node.codec import value_object
from batchtwin_node.readers.signature import ANY, Column, Signature, Tensor

LARGEST_EXAMPLE = 16 << 20
# Of a NumPy array.
MOST_SIDES, LARGEST_SIDE = 64, 1 << 62


@value_object
class Example:
    """Rows of JSON values, each as long as `columns`, which are None without names.

    `array` is the example instead, if it is an array: nested lists.
    """

    columns: tuple[str, ...] | None = None
    rows: tuple[tuple[Any, ...], ...] = ()
    array: list[Any] | None = None


def signature_of(mlmodel: Mapping[str, Any]) -> Signature | None:
    """Return the signature of a model's input; None for none, or for one that batchtwin cannot read."""
    block = mlmodel.get("signature")
    text = block.get("inputs") if isinstance(block, dict) else None
    with suppress(TypeError, KeyError, ValueError, AttributeError, OverflowError, RecursionError):
        specs = json.loads(text or "")
        if specs and all(spec["type"] == "tensor" for spec in specs):
            return Signature(tensors=tuple(map(_tensor, specs)))
        columns = tuple(_column(spec) for spec in specs)
        if columns:
            return Signature(columns, named=all(column.name for column in columns))
    return None


def _tensor(spec: dict[str, Any]) -> Tensor:
    inner = spec["tensor-spec"]
    if len(inner["shape"]) > MOST_SIDES or not all(-LARGEST_SIDE < side < LARGEST_SIDE for side in inner["shape"]):
        raise ValueError("no array has this shape")
    return Tensor(tuple(map(int, inner["shape"])), str(inner["dtype"]), spec.get("name"))


def _column(spec: dict[str, Any]) -> Column:
    kind = spec["type"]
    scalar = isinstance(kind, str) and kind not in {"array", "object", "map", "tensor"}
    required = spec.get("required", not spec.get("optional", False))
    return Column(str(spec.get("name") or ""), kind if scalar else ANY, bool(required))


def example_of(model: Path, mlmodel: Mapping[str, Any]) -> Example | None:
    """Return the example that was saved with a model; None for none, or for one that is neither table nor array."""
    info = mlmodel.get("saved_input_example_info")
    if not isinstance(info, dict):
        return None
    # Only a bare name: another user's MLmodel file must not name other files of this machine.
    path = model / Path(str(info.get("artifact_path", ""))).name
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        if not path.is_file() or path.stat().st_size > LARGEST_EXAMPLE:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        if info.get("params") and isinstance(content, dict):
            content = content["inputs"]
        return _example(content, str(info.get("type")))
    return None


def _example(content: Any, kind: str) -> Example | None:
    if kind == "dataframe" and isinstance(content, dict):
        columns = content.get("columns")
        return _table(None if columns is None else tuple(map(str, columns)), content["data"])
    if kind == "ndarray":
        content = content.get("inputs") if isinstance(content, dict) else content
        return Example(array=content) if isinstance(content, list) and content else None
    records = [content] if isinstance(content, dict) else content
    if isinstance(records, list) and records and all(isinstance(record, dict) for record in records):
        names = tuple(dict.fromkeys(str(name) for record in records for name in record))
        return _table(names, [[record.get(name) for name in names] for record in records])
    return None


def _table(columns: tuple[str, ...] | None, data: list[list[Any]]) -> Example | None:
    rows = tuple(map(tuple, data))
    width = len(columns) if columns is not None else len(rows[0]) if rows else 0
    return Example(columns, rows) if rows and width and all(len(row) == width for row in rows) else None
