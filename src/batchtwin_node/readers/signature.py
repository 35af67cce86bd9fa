"""A model's signature for its input, without MLflow: columns, arrays, or nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Tuple, Union

from batchtwin_node.codec import value_object
from batchtwin_node.readers.bad_file import BadFileError, advice_on, listed

if TYPE_CHECKING:
    import pandas as pd

ANY = "any"
# Types whose missing values pandas writes in its own ways: NaN beside True, NaT, or a float for a whole number.
NONE_IF_MISSING = frozenset({"boolean", "datetime"})
WHOLE = frozenset({"long", "integer"})
# The type of a table's columns if the signature requires an array of this dtype.
OF_DTYPE = {"float64": "double", "float32": "float", "int64": "long", "int32": "integer", "bool": "boolean"}


@value_object
class Column:
    """One ColSpec: `type` is MLflow's name for it (long, integer, double, float, boolean, string, ...).

    Types that are not scalar (arrays, objects, maps) are `any`: MLflow checks them. Values of a `nullable` column may
    be missing, and are Python objects then: None is missing.
    """

    name: str
    type: str
    required: bool = True
    nullable: bool = False


Columns = Tuple[Column, ...]
Number = Union[int, float]


@value_object
class Tensor:
    """One TensorSpec: -1 in `shape` is any size, `dtype` is numpy's name. `name` is None for a model's only input."""

    shape: tuple[int, ...]
    dtype: str
    name: str | None = None


@value_object
class Signature:
    """Either columns or tensors. Columns that are not `named` are the first ones of a file, by position.

    Columns of `records` are the fields of a type hint: the model gets whole tables. `numbers` holds the names that
    MLflow has as numbers: names are texts here.
    """

    columns: Columns = ()
    tensors: tuple[Tensor, ...] = ()
    named: bool = True
    records: bool = False
    numbers: tuple[Number, ...] = ()

    @classmethod
    def of(cls, schema: Any, from_type_hint: bool = False) -> Signature | None:
        """Convert an MLflow input schema; None for none. `from_type_hint`: it was made of a type hint."""
        if schema is None:
            return None
        names = [spec.name for spec in schema.inputs]
        numbers = tuple(name for name in names if _is_number(name) and str(name) not in names)
        if schema.is_tensor_spec():
            tensors = (Tensor(tuple(spec.shape), spec.type.name, spec.name) for spec in schema.inputs)
            return cls(tensors=tuple(tensors), numbers=numbers)
        if from_type_hint:
            return cls(tuple(_fields(schema.inputs[0])), named=_is_object(schema.inputs[0]), records=True)
        columns = tuple(Column(_text(spec.name), _type(spec.type), _is_required(spec)) for spec in schema.inputs)
        return cls(columns, named=schema.has_input_names(), numbers=numbers)

    @classmethod
    def of_json(cls, inputs: str, types: Collection[str]) -> Signature | None:
        """Convert MLmodel's text for it, if it has named columns of these `types`; else None."""
        try:
            columns = tuple(_column(spec) for spec in json.loads(inputs))
        except (TypeError, KeyError, ValueError, AttributeError):
            return None
        is_supported = all(
            isinstance(column.name, str) and isinstance(column.type, str) and column.type in types for column in columns
        )
        return cls(columns) if columns and is_supported else None

    def in_table(self, path: str, names: Sequence[str]) -> Columns | None:
        """Return what to read from a table whose columns are `names`; None if MLflow is to check the whole table.

        Columns that the signature does not name are left out, as in MLflow.

        Raises:
            BadFileError: a required column is missing, or the table does not have the required shape.
        """
        if self.tensors:
            return _as_array(path, names, self.tensors)
        if self.records:
            return tuple(self._record_columns(names))
        if self.named:
            return _named(path, names, self.columns)
        if len(names) < len(self.columns):
            problem = f"the model's signature asks for {len(self.columns)} columns; the file has {len(names)}"
            raise BadFileError(path, f"{problem}: add what is missing")
        return tuple(Column(name, column.type, column.required) for name, column in zip(names, self.columns))

    @property
    def takes_one_column(self) -> bool:
        """Whether MLflow passes a model only one column of a table, because its type hint requires that."""
        return self.records and not self.named

    def renamed(self, table: pd.DataFrame) -> pd.DataFrame:
        """Give columns the numbers that MLflow has as their names. Shapes: (rows, columns)."""
        return table.rename(columns={str(name): name for name in self.numbers}) if self.numbers else table

    def _record_columns(self, names: Sequence[str]) -> Iterator[Column]:
        """Return a table's columns by a type hint: MLflow passes the model all of them, or, without fields, one.

        That is the first one; for texts the first one that begins with a text, as pandas reads the table.
        """
        fields = {column.name: column for column in self.columns}
        if not self.named and (len(names) == 1 or self.columns[0].type != "string"):
            fields = {name: replace(self.columns[0], name=name) for name in names[:1]}
        yield from (fields.get(name) or Column(name, ANY) for name in names)


def _fields(spec: Any) -> Iterator[Column]:
    """Return the fields of an Object; for any other type the one column that it requires."""
    if not _is_object(spec):
        yield _field("", _type(spec.type), True)
        return
    for field in spec.type.properties:
        yield _field(field.name, _type(field.dtype), field.required)


def _field(name: str, kind: str, required: bool) -> Column:
    """Return a field: type hints get None for a missing value; an empty column is not an absent one."""
    nullable = kind in NONE_IF_MISSING or (kind in WHOLE and not required)
    return Column(name, kind, required=kind == ANY or required, nullable=nullable)


def _is_object(spec: Any) -> bool:
    return type(spec.type).__name__ == "Object"


def _is_number(name: object) -> bool:
    return isinstance(name, (int, float))


def _text(name: object) -> str:
    return "" if name is None else str(name)


def _column(spec: dict[str, Any]) -> Column:
    name = spec["name"]
    text = str(name) if _is_number(name) else name
    return Column(text, spec["type"], spec.get("required", not spec.get("optional", False)))


def _is_required(spec: Any) -> bool:
    """Whether a field is required: MLflow 2 had the word `optional` at first, MLflow 1 neither."""
    return bool(getattr(spec, "required", not getattr(spec, "optional", False)))


def _type(kind: Any) -> str:
    return str(kind.name) if type(kind).__name__ == "DataType" else ANY


def _named(path: str, header: Sequence[str], columns: Columns) -> Columns:
    names = set(header)
    missing = [column.name for column in columns if column.required and column.name not in names]
    if missing:
        problem = f"missing column{'s' * (len(missing) > 1)} {listed(missing)}; the file has {listed(header)}"
        expected = [column.name for column in columns]
        raise BadFileError(path, f"{problem}: {advice_on(missing, header, expected)}", column=missing[0])
    return tuple(column for column in columns if column.name in names)


def _as_array(path: str, names: Sequence[str], tensors: tuple[Tensor, ...]) -> Columns | None:
    """Return a table as an array (rows, columns), or (rows,) for one column; or as an array for each column."""
    [tensor, *others] = tensors
    if others or tensor.name is not None:
        return _of_columns(path, names, tensors)
    if tensor.shape in {(-1, len(names)), (-1, -1)} or (tensor.shape == (-1,) and len(names) == 1):
        kind = OF_DTYPE.get(tensor.dtype)
        return tuple(Column(name, kind) for name in names) if kind else None
    if len(names) == 1:
        return None  # perhaps of lists
    problem = f"the model's signature asks for an array of shape {tensor.shape}"
    raise BadFileError(path, f"{problem}; the file is a table of shape (-1, {len(names)})")


def _of_columns(path: str, names: Sequence[str], tensors: tuple[Tensor, ...]) -> Columns | None:
    """Read a CSV file's scalars in their tensor's type: MLflow would cut 1.5 to a whole number, and a missing one too.

    None if MLflow is to check the table: it is Parquet, which has types, or has arrays in it.
    """
    kinds = [OF_DTYPE.get(tensor.dtype) if tensor.shape in {(-1,), (-1, 1)} else None for tensor in tensors]
    columns = [Column(_text(tensor.name), kind) for tensor, kind in zip(tensors, kinds) if kind]
    if len(columns) < len(tensors) or not path.lower().endswith(".csv"):
        return None
    return _named(path, names, tuple(columns))
