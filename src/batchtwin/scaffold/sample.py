"""A file to score: the model's input example, or values made up by the types of its signature."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchtwin.scaffold.picture import COLOUR_TYPES, gradient, png
from batchtwin.scaffold.signature import Example, example_of, signature_of
from batchtwin_node.codec import value_object
from batchtwin_node.readers.signature import ANY, Column, Tensor

MOST_ROWS = 100
# Limits: a signature may request any size, and a larger sample may not fit into memory.
MOST_COLUMNS, MOST_PIXELS = 10_000, 4 << 20
# The size of a picture if the signature does not say.
SIDE = 64
FROM_EXAMPLE = "the input example of the model"
MADE_UP = "made up by the types of the model's signature: replace it with data of your own"
# Type of MLflow -> values for made-up rows.
VALUES: dict[str, tuple[Any, ...]] = {
    "long": (1, 2, 3),
    "integer": (1, 2, 3),
    "double": (0.5, 1.5, 2.5),
    "float": (0.5, 1.5, 2.5),
    "boolean": (True, False, True),
    "string": ("a", "b", "c"),
    "datetime": ("2024-01-01T00:00:00", "2024-01-02T00:00:00", "2024-01-03T00:00:00"),
    "binary": ("YQ==", "Yg==", "Yw=="),
}


@value_object
class Sample:
    """A file: its name and content, the source of its values, and whether it is an image."""

    name: str
    content: bytes
    origin: str

    @property
    def is_image(self) -> bool:
        """Whether it is a picture."""
        return self.name.endswith(".png")


class NoSampleError(Exception):
    """No file can be made; the text says why. `needs_script`: files of no kind can be read without one."""

    def __init__(self, text: str, *, needs_script: bool) -> None:
        super().__init__(text)
        self.needs_script = needs_script


def sample_of(model: Path, mlmodel: Mapping[str, Any]) -> Sample:
    """Make a file that the MLflow driver reads.

    Raises:
        NoSampleError: neither example nor signature say what the model reads, or no file can hold it.
    """
    try:
        return _sample_of(model, mlmodel)
    except RecursionError:
        raise NoSampleError("the model's input example is nested too deeply", needs_script=False) from None


def _sample_of(model: Path, mlmodel: Mapping[str, Any]) -> Sample:
    signature, example = signature_of(mlmodel), example_of(model, mlmodel)
    if signature is not None and signature.tensors:
        return _of_tensors(signature.tensors, example)
    if example is not None and example.array is not None:
        return _of_tensors((Tensor(_shape(example.array), "float64"),), example)
    if example is not None and all(map(_is_scalar, (value for row in example.rows for value in row))):
        names = example.columns or _names(signature.columns if signature else (), len(example.rows[0]))
        return Sample("sample.csv", _csv(names, example.rows), FROM_EXAMPLE)
    if signature is not None:
        return _made_up(signature.columns)
    if example is not None:
        raise NoSampleError(
            "the model's input example holds lists or objects, which no CSV file can", needs_script=True
        )
    raise NoSampleError("the model has neither an input example nor a signature", needs_script=False)


def _made_up(columns: Sequence[Column]) -> Sample:
    usable = [column for column in columns if column.type != ANY]
    if nested := [column.name for column in columns if column.type == ANY and column.required]:
        text = f"the model's signature asks for lists or objects ({_listed(nested)}), which no CSV file can hold"
        raise NoSampleError(text, needs_script=True)
    columns_of_values = [VALUES.get(column.type, VALUES["string"]) for column in usable]
    rows = tuple(zip(*columns_of_values, strict=True))
    return Sample("sample.csv", _csv(_names(usable, len(usable)), rows), MADE_UP)


def _listed(names: Sequence[str], most: int = 10) -> str:
    listed = ", ".join(name[:100] for name in names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed


def _names(columns: Sequence[Column], count: int) -> tuple[str, ...]:
    """Return names of columns. Columns without names go by position, whatever they are called in a file."""
    has_names = len(columns) == count
    return tuple(
        columns[number].name if has_names and columns[number].name else f"column_{number}" for number in range(count)
    )


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows[:MOST_ROWS])
    try:
        return text.getvalue().encode()
    except UnicodeEncodeError:
        text_of = "signature or input example of the model has half of a surrogate pair, which is no character"
        raise NoSampleError(text_of, needs_script=False) from None


def _of_tensors(tensors: Sequence[Tensor], example: Example | None) -> Sample:
    [tensor, *others] = tensors
    array = example.array if example else None
    if others:
        text = f"the model's signature asks for {len(tensors)} inputs, and a file is one"
        raise NoSampleError(text, needs_script=True)
    if tensor.dtype.startswith(("str", "object", "bytes")):
        raise NoSampleError(f"the model's signature asks for an array of {tensor.dtype}", needs_script=True)
    if any(side < -1 for side in tensor.shape):
        raise NoSampleError(f"the model's signature asks for shape {_shape_text(tensor)}", needs_script=False)
    if tensor.name is None and len(tensor.shape) <= 2 and tensor.shape[:1] == (-1,):
        return _table(tensor, array)
    return _picture(tensor, array)


def _table(tensor: Tensor, array: list[Any] | None) -> Sample:
    rows = [row if isinstance(row, list) else [row] for row in array or ()]
    width = tensor.shape[1] if len(tensor.shape) == 2 else 1
    width = width if width > 0 else len(rows[0]) if rows else 3
    if width > MOST_COLUMNS:
        raise NoSampleError(f"the model's signature asks for {width} columns", needs_script=False)
    origin = FROM_EXAMPLE
    if not rows or not all(len(row) == width and all(map(_is_scalar, row)) for row in rows):
        number = 0.5 if tensor.dtype.startswith("float") else 1
        rows, origin = [[number] * width for _ in range(3)], MADE_UP
    return Sample("sample.csv", _csv(_names((), width), rows), origin)


def _picture(tensor: Tensor, array: list[Any] | None) -> Sample:
    """Return a picture of the required shape; channels may come first in the shape, and come last in a file."""
    batched = tensor.shape[:1] == (-1,)
    inner = tensor.shape[1:] if batched else tensor.shape
    first = len(inner) == 3 and inner[-1] not in COLOUR_TYPES and inner[0] in COLOUR_TYPES
    height, width, channels = _size(tensor, (*inner[1:], inner[0]) if first else inner)
    pixels = list(_flat(array[0] if array and batched else array))
    if first:
        pixels = [value for at in range(height * width) for value in pixels[at :: height * width]]
    try:
        return Sample("sample.png", png(height, width, channels, _whole(pixels)), FROM_EXAMPLE)
    except ValueError:
        return Sample("sample.png", png(height, width, channels, gradient(height, width, channels)), MADE_UP)


def _size(tensor: Tensor, inner: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels.

    Raises:
        NoSampleError: this is the shape of no picture.
    """
    sizes = inner if len(inner) == 3 else (*inner, 1)
    if len(sizes) != 3 or (sizes[2] not in COLOUR_TYPES and sizes[2] != -1):
        text = f"the model's signature asks for shape {_shape_text(tensor)}, which neither a table nor an image has"
        raise NoSampleError(text, needs_script=True)
    height, width = (side if side > 0 else SIDE for side in sizes[:2])
    channels = 3 if sizes[2] == -1 else sizes[2]
    if height * width * channels > MOST_PIXELS:
        raise NoSampleError(f"the model's signature asks for an image of {height} x {width}", needs_script=False)
    return height, width, channels


def _shape_text(tensor: Tensor) -> str:
    shape = ", ".join(map(str, tensor.shape[:6]))
    return f"({shape}{', ...' if len(tensor.shape) > 6 else ''})"


def _flat(array: Any) -> Iterator[Any]:
    if isinstance(array, list):
        for inner in array:
            yield from _flat(inner)
    elif array is not None:
        yield array


def _whole(values: Sequence[Any]) -> list[int]:
    """Return the pixels of an example, if they are numbers that a picture can hold.

    Raises:
        ValueError: they are not.
    """
    if not all(isinstance(value, int) or (isinstance(value, float) and value.is_integer()) for value in values):
        raise ValueError("not whole numbers")
    # Zeros and ones alone are more likely scaled values than a dark picture.
    if values and max(values) <= 1:
        raise ValueError("scaled to 0 to 1")
    return [int(value) for value in values]


def _shape(array: Any) -> tuple[int, ...]:
    """Return the shape of nested lists; the first dimension may have any size."""
    shape: list[int] = []
    while isinstance(array, list):
        shape.append(len(array))
        array = array[0] if array else None
    return (-1, *shape[1:])
