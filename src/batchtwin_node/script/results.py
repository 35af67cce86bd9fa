"""What `run()` may return, and its encoding as bytes."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchtwin_node.codec import value_object
from batchtwin_node.protocol import BadFile

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import TypeGuard


class WrongTypeError(TypeError):
    """`run()` returned something other than a list or a DataFrame [A]; the text says how to fix it [+]."""

    def __init__(self, result: object) -> None:
        name = type(result).__name__
        super().__init__(
            "The run() method in the entry script should return a list or a pandas DataFrame. "
            f"The actual type of output is {name}. {_remedy(name)}"
        )


def _remedy(name: str) -> str:
    remedies = {
        "NoneType": "Does run() end without a return? End it with `return results`.",
        "generator": "Collect the rows and return them, instead of yield.",
        "str": "Return a list with one text per line: `return [text]`.",
        "ndarray": "Return `list(array)` or a DataFrame.",
        "Series": "Return `series.to_frame()` or `list(series)`.",
    }
    return remedies.get(name, f"Turn the {name} into a list with one element per line of output.")


@value_object
class OutputLines:
    """Several finished output lines in one element of a result list: those of one input file.

    `data` is UTF-8 text of `rows` lines, each with its newline; `read` is the number of rows of the file, if it
    differs.
    """

    data: bytes
    rows: int
    read: int | None = None


@value_object
class Note:
    """An element of a result list that is no output: a sentence for the user."""

    text: str


@dataclass
class EncodedBatch:
    """The bytes of one mini-batch's rows, and its items counted."""

    data: bytes = b""
    rows: int = 0
    succeeded: int = 0
    failed: int = 0
    bad_files: list[BadFile] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    file_rows: tuple[tuple[int, int], ...] | None = None

    @property
    def crc(self) -> int:
        """CRC-32 of the bytes."""
        return zlib.crc32(self.data)


def encode(result: object, items: int, append_row: bool) -> EncodedBatch:
    """Encode the return value of `run()` for `items` files, and count.

    Succeeded items are min(len(result), items) [A]. Without `append_row` it only counts.

    Raises:
        WrongTypeError: `result` is neither a list, a tuple nor a DataFrame.
    """
    if isinstance(result, (list, tuple)):
        notes = tuple(element.text for element in result if isinstance(element, Note))
        result = [element for element in result if not isinstance(element, Note)] if notes else result
        encoded = _encode_list(result, append_row)
        encoded.notes = notes
        length = len(result) - len(encoded.bad_files)
    elif is_table(result):
        encoded = _encode_frame(result, append_row)
        length = len(result)
    else:
        raise WrongTypeError(result)
    encoded.succeeded = min(length, items)
    encoded.failed = items - encoded.succeeded
    return encoded


def is_table(result: object) -> TypeGuard[pd.DataFrame]:
    """Whether a value is a DataFrame, without importing pandas."""
    # A DataFrame can exist only if pandas is imported.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(result, pandas.DataFrame)


def _encode_list(result: Sequence[object], append_row: bool) -> EncodedBatch:
    encoded = EncodedBatch(bad_files=[element for element in result if isinstance(element, BadFile)])
    parts = []
    for element in result if append_row else ():
        if isinstance(element, OutputLines):
            parts.append(element.data)
            encoded.rows += element.rows
        elif not isinstance(element, BadFile):
            parts.append(f"{element}\n".encode())
            encoded.rows += 1
    encoded.data = b"".join(parts)
    if all(isinstance(element, (OutputLines, BadFile)) for element in result):
        lines = [element for element in result if isinstance(element, OutputLines)]
        encoded.file_rows = tuple(
            (element.rows if element.read is None else element.read, element.rows) for element in lines
        )
    return encoded


def _encode_frame(result: pd.DataFrame, append_row: bool) -> EncodedBatch:
    """Encode a frame: one space as separator, no header, no index, even in a file called predictions.csv [A]."""
    if not append_row:
        return EncodedBatch()
    # Line ends would be the system's; pandas 1.5 renamed the argument.
    text = result.to_csv(None, sep=" ", header=False, index=False)
    return EncodedBatch(data=text.encode(), rows=len(result))
