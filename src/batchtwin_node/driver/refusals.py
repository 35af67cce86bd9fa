"""The value that MLflow refuses, by the model's signature or type hint, before the model has seen the data.

MLflow's own messages contain the user's rows; only the one value is repeated here.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, get_args

from batchtwin_node.codec import value_object
from batchtwin_node.readers import ending
from batchtwin_node.readers.bad_file import LONGEST, BadFileError, quote, summarize
from batchtwin_node.readers.csv_locate import first_refused, line_of
from batchtwin_node.script.results import is_table

if TYPE_CHECKING:
    import pandas as pd

    Check = Callable[[pd.DataFrame], object]

# MLflow's functions, in all versions, that check data against a signature or a type hint.
CHECKS = frozenset({"_enforce_schema", "_validate_prediction_input", "_validate_model_input", "_convert_input"})
DECORATOR = "mlflow.pyfunc.utils.data_validation"


@value_object
class _Cell:
    """A refused value, and why.

    `row` is None where a column is missing; `column` and `value` are None where it is a whole row.
    """

    row: int | None
    problem: str
    column: str | None = None
    value: str | None = None


def refusal_of(model: Any, path: str, data: Any, error: Exception) -> BadFileError | None:
    """Return what is wrong with the data of a file if MLflow refused them; None if the model itself failed.

    `error` is what `model.predict(data)` raised.
    """
    if not is_refusal(error):
        return None
    try:
        cell = _first_cell(model, data) if is_table(data) and len(data) else None
    except Exception:  # MLflow's own functions differ between versions
        cell = None
    if cell is None:
        return BadFileError(path, f"MLflow refuses the data: {_reason(model, error)}")
    line = line_of(path, cell.row) if ending(path) == ".csv" and cell.row is not None else None
    return BadFileError(path, cell.problem, column=cell.column, row=cell.row, line=line, value=cell.value)


def is_refusal(error: Exception) -> bool:
    """Whether MLflow raised the error while it checked data: no frame above is of a model."""
    frames: Iterator[tuple[FrameType, int]] = traceback.walk_tb(error.__traceback__)
    module = ""
    for frame, _ in frames:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("batchtwin_node."):
            continue
        if not module.startswith("mlflow."):
            return False
        if frame.f_code.co_name in CHECKS:
            return True
    return module == DECORATOR


def _reason(model: Any, error: Exception) -> str:
    """Return MLflow's reason in one line, without the user's rows, which its messages contain."""
    if is_from_type_hint(model):
        return f"they are not what the model's type hint asks for, {_cut(str(_type_hint(model)))}"
    inner = error.__context__ if str(error).startswith("Failed to enforce schema of data") else None
    return _cut(summarize(inner or error))


def is_from_type_hint(model: Any) -> bool:
    """Whether a loaded model's signature was made of the type hint of its `predict`."""
    return bool(model.metadata.to_dict().get("is_signature_from_type_hint"))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _first_cell(model: Any, data: pd.DataFrame) -> _Cell | None:
    data = data.reset_index(drop=True)
    return _of_type_hint(model, data) if is_from_type_hint(model) else _of_signature(model, data)


def _of_signature(model: Any, data: pd.DataFrame) -> _Cell | None:
    """Return the refused value in the first row."""
    first: _Cell | None = None
    for spec, name in _specs(model.metadata.get_input_schema(), data):
        column = data[[name]].iloc[: first.row if first else None]
        is_tensor = hasattr(spec, "shape")
        at = _first_row(_check_of(spec), column, is_tensor)
        if at is not None:
            first = _refused(at, str(name), column.iloc[at, 0], f"the model's signature asks for {_kind(spec)} here")
    return first


def _refused(row: int, column: str, value: Any, expected: str, problem: str = "not of this type") -> _Cell:
    """Return a cell with its value: cut if it is long, none if it is missing."""
    if value is None or (isinstance(value, float) and value != value):
        return _Cell(row, f"the value is missing; {expected}: fill it in", column)
    text = _cut(str(value))
    return _Cell(row, f"{problem}: {quote(text)}; {expected}", column, text)


def _specs(schema: Any, data: pd.DataFrame) -> Iterator[tuple[Any, Any]]:
    """Yield the spec of each column of the table that the signature names, or of the first ones."""
    if schema.has_input_names():
        yield from ((spec, spec.name) for spec in schema.inputs if spec.name in data.columns)
    elif not schema.is_tensor_spec() or len(data.columns) == 1:
        yield from zip(schema.inputs, data.columns)


def _kind(spec: Any) -> str:
    if hasattr(spec, "shape"):
        return f"a value of shape {tuple(spec.shape[1:])} of {spec.type}"
    return _cut(getattr(spec.type, "name", None) or str(spec.type))


class _Accepting:
    """A model that accepts whatever has passed MLflow's check."""

    def predict(self, data: Any, params: Any = None) -> Any:
        return data


def _check_of(spec: Any) -> Check:
    """Return a function that checks a table of one column against one spec, and raises as MLflow does."""
    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature
    from mlflow.pyfunc import PyFuncModel
    from mlflow.types import Schema

    model: Any = Model
    meta = model(signature=ModelSignature(inputs=Schema([spec])))
    check: Check = PyFuncModel(model_meta=meta, model_impl=_Accepting()).predict
    return check


def _first_row(check: Check, table: pd.DataFrame, is_tensor: bool) -> int | None:
    def accepts(low: int, high: int) -> bool:
        # Rows of a tensor have to be alike: a row is refused because of those before it.
        part = table.iloc[0 if is_tensor else low : high].reset_index(drop=True)
        try:
            check(part)
        except Exception:
            return False
        return True

    return first_refused(len(table), accepts)


def _type_hint(model: Any) -> Any:
    return model.unwrap_python_model().predict_type_hints.input


def _of_type_hint(model: Any, data: pd.DataFrame) -> _Cell | None:
    from mlflow.pyfunc.utils import pyfunc

    def accept(model_input: Any) -> Any:
        return model_input

    hint = _type_hint(model)
    accept.__annotations__ = {"model_input": hint}
    at = _first_row(pyfunc(accept), data, False)
    if at is None:
        return None
    [element] = get_args(hint)
    expected = f"the model's type hint asks for {_cut(getattr(element, '__name__', None) or str(element))} here"
    record = _record(data, at)
    if hasattr(element, "model_validate"):
        return _of_pydantic(element, record, at, expected)
    name = data.columns[0]
    return _refused(at, str(name), record[name], expected)


def _record(data: pd.DataFrame, row: int) -> dict[Any, Any]:
    """Return a row as MLflow passes it to type hints: None for NaN, lists for arrays."""

    def plain(value: Any) -> Any:
        value = value.tolist() if type(value).__name__ == "ndarray" else value
        if isinstance(value, list):
            return [plain(element) for element in value]
        if isinstance(value, dict):
            return {key: plain(element) for key, element in value.items()}
        return None if isinstance(value, float) and value != value else value

    [record] = data.iloc[[row]].to_dict(orient="records")
    return {name: plain(value) for name, value in record.items()}


def _of_pydantic(element: Any, record: dict[Any, Any], row: int, expected: str) -> _Cell:
    """Return pydantic's first error, and its field."""
    try:
        element.model_validate(record, strict=True)
    except Exception as error:
        errors: list[dict[str, Any]] = getattr(error, "errors", list)()
    else:
        errors = []
    location = errors[0]["loc"] if errors else ()
    if not location:
        return _Cell(row, f"the row is refused; {expected}")
    column = str(location[0])
    if location[0] not in record:
        return _Cell(None, f"the column is missing; {expected}: add it", column)
    problem = _cut(summarize(ValueError(errors[0]["msg"])))
    return _refused(row, column, record[location[0]], expected, problem)
