"""file ending -> reader. A reader types the data by the model's signature while it reads.

A new format is one function with `@reader(...)` and one test. Readers import their libraries themselves, so that the
controller can list the endings without them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional, Union

from batchtwin_node.readers.bad_file import UnsupportedTypeError
from batchtwin_node.readers.signature import Signature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Data = Union[pd.DataFrame, np.ndarray[Any, Any]]
    Reader = Callable[[str, Optional[Signature]], Data]

_READERS: dict[str, Reader] = {}


def ending(path: str) -> str:
    """Return the file's ending in lower case, with its dot, or an empty text."""
    return os.path.splitext(path)[1].lower()


def reader(*endings: str) -> Callable[[Reader], Reader]:
    """Register a reader for file endings, in lower case with their dot."""

    def register(function: Reader) -> Reader:
        _READERS.update(dict.fromkeys(endings, function))
        return function

    return register


def endings() -> tuple[str, ...]:
    """Return every ending that has a reader."""
    return tuple(_READERS)


def read(path: str, signature: Signature | None) -> Data:
    """Read one file, typed by `signature`: a table as a DataFrame (rows, columns), an image as an array.

    Raises:
        BadFileError: the file cannot be read, or does not fit the signature.
    """
    function = _READERS.get(ending(path))
    if function is None:
        raise UnsupportedTypeError(path, ending(path))
    return function(path, signature)


@reader(".csv")
def read_csv(path: str, signature: Signature | None) -> Data:
    """Read a CSV file with a header line, UTF-8."""
    from batchtwin_node.readers import csv_file

    return csv_file.read(path, signature)


@reader(".parquet", ".pqt")
def read_parquet(path: str, signature: Signature | None) -> Data:
    """Read a Parquet file, only the columns that the signature names."""
    from batchtwin_node.readers import parquet_file

    return parquet_file.read(path, signature)


@reader(".png", ".jpg", ".jpeg", ".tiff", ".bmp", ".gif")
def read_image(path: str, signature: Signature | None) -> Data:
    """Read an image."""
    from batchtwin_node.readers import images

    return images.read(path, signature)
