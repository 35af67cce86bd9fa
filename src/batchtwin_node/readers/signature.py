"""What a model's signature says about its input, free of MLflow: columns, arrays, or nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Tuple

from batchtwin_node.readers.bad_file import BadFileError, listed

ANY = "any"
# What a table's columns are if the signature asks for an array of this dtype.
OF_DTYPE = {"float64": "double", "float32": "float", "int64": "long", "int32": "integer", "bool": "boolean"}


@dataclass(frozen=True)
class Column:
    """One ColSpec: `type` is MLflow's name for it (long, integer, double, float, boolean, string, ...).

    Types that are not scalar (arrays, objects, maps) are `any`: they are left to MLflow.
    """

    name: str
    type: str
    required: bool = True


Columns = Tuple[Column, ...]


@dataclass(frozen=True)
class Tensor:
    """One TensorSpec: -1 in `shape` is any size, `dtype` is numpy's name. `name` is None for a model's only input."""

    shape: tuple[int, ...]
    dtype: str
    name: str | None = None


@dataclass(frozen=True)
class Signature:
    """Either columns or tensors. Columns that are not `named` are the first ones of a file, by position."""

    columns: Columns = ()
    tensors: tuple[Tensor, ...] = ()
    named: bool = True

    @classmethod
    def of(cls, schema: Any) -> Signature | None:
        """Take over an MLflow input schema; None for none."""
        if schema is None:
            return None
        if schema.is_tensor_spec():
            return cls(tensors=tuple(Tensor(tuple(spec.shape), spec.type.name, spec.name) for spec in schema.inputs))
        columns = tuple(Column(spec.name or "", _type(spec.type), _is_required(spec)) for spec in schema.inputs)
        return cls(columns, named=schema.has_input_names())

    @classmethod
    def of_json(cls, inputs: str, types: Collection[str]) -> Signature | None:
        """Take over the text that MLmodel has for it, if it is named columns of these `types`; else None."""
        try:
            columns = tuple(_column(spec) for spec in json.loads(inputs))
        except (TypeError, KeyError, ValueError, AttributeError):
            return None
        known = all(
            isinstance(column.name, str) and isinstance(column.type, str) and column.type in types for column in columns
        )
        return cls(columns) if columns and known else None

    def in_table(self, path: str, found: Sequence[str]) -> Columns | None:
        """Return what to read from a table whose columns are `found`; None if MLflow is to judge the whole table.

        Columns that the signature does not ask for are left out, as MLflow does.

        Raises:
            BadFileError: a required column is missing, or the table does not have the shape asked for.
        """
        if self.tensors:
            return _as_array(path, found, self.tensors)
        if self.named:
            return _named(path, found, self.columns)
        if len(found) < len(self.columns):
            problem = f"the model's signature asks for {len(self.columns)} columns; the file has {len(found)}"
            raise BadFileError(path, f"{problem}: add what is missing")
        return tuple(Column(name, column.type, column.required) for name, column in zip(found, self.columns))


def _column(spec: dict[str, Any]) -> Column:
    return Column(spec["name"], spec["type"], spec.get("required", not spec.get("optional", False)))


def _is_required(spec: Any) -> bool:
    """MLflow 2 had the word `optional` at first, MLflow 1 neither."""
    return bool(getattr(spec, "required", not getattr(spec, "optional", False)))


def _type(kind: Any) -> str:
    return str(kind.name) if type(kind).__name__ == "DataType" else ANY


def _named(path: str, found: Sequence[str], columns: Columns) -> Columns:
    names = set(found)
    missing = [column.name for column in columns if column.required and column.name not in names]
    if missing:
        problem = f"missing column{'s' * (len(missing) > 1)} {listed(missing)}; the file has {listed(found)}"
        raise BadFileError(path, f"{problem}: add what is missing", column=missing[0])
    return tuple(column for column in columns if column.name in names)


def _as_array(path: str, found: Sequence[str], tensors: tuple[Tensor, ...]) -> Columns | None:
    """A table is an array of shape (rows, columns), or (rows,) if it has one column."""
    [tensor, *others] = tensors
    if others or tensor.name is not None:
        return None
    if tensor.shape == (-1, len(found)) or (tensor.shape == (-1,) and len(found) == 1):
        kind = OF_DTYPE.get(tensor.dtype)
        return tuple(Column(name, kind) for name in found) if kind else None
    if len(found) == 1:
        return None  # of lists, perhaps
    problem = f"the model's signature asks for an array of shape {tensor.shape}"
    raise BadFileError(path, f"{problem}; the file is a table of shape (-1, {len(found)})")
