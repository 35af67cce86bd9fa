"""A range of bytes of a CSV file -> a typed table, as these rows are in the table of the whole file."""

from __future__ import annotations

import csv
from io import BytesIO
from typing import TYPE_CHECKING

from batchtwin_node.protocol import FilePart
from batchtwin_node.readers import csv_file
from batchtwin_node.readers.bad_file import BadFileError, NotInPartsError, kind_of, summarize, unreadable
from batchtwin_node.readers.columns import BOOLEANS, NUMBERS
from batchtwin_node.readers.csv_checks import BOOLEAN
from batchtwin_node.readers.file_kind import CSV
from batchtwin_node.readers.signature import Columns, Signature

if TYPE_CHECKING:
    import pandas as pd


def read(path: str, part: FilePart, signature: Signature) -> pd.DataFrame:
    """Read a part. The error names the first bad place in the whole file, whichever part is read first.

    Raises:
        BadFileError: naming column, row and value where one is to blame.
        NotInPartsError: it depends on the whole file.
    """
    try:
        header, data = _bytes(path, part)
    except OSError as error:
        raise unreadable(path, error) from None
    columns: Columns | None = None
    try:
        with csv_file.strictly():
            names = csv_file.names_in(header)
            columns = signature.in_table(path, names)
            if columns is None:
                raise NotInPartsError("the model's signature leaves types to the whole file")
            if _first_width(data[len(header) :]) > len(names):
                raise NotInPartsError("its rows have more fields than its header")
            frame = csv_file.read_typed(BytesIO(data), columns, names)
    except BadFileError as error:
        kind = kind_of(path, CSV)
        raise (BadFileError(path, kind) if kind else error) from None
    except csv_file.refusals() as error:
        from batchtwin_node.readers.csv_locate import explain_refusal

        fault = explain_refusal(path, columns, summarize(error))
        if fault.bad_file.row is None:
            csv_file.read(path, signature)  # raises what is wrong with the whole file, if anything is
            raise NotInPartsError("only the whole file can be read") from None
        raise fault from None
    if BOOLEAN.search(data):
        _refuse_booleans(data, columns)
    return frame


def _first_width(data: bytes) -> int:
    """Return the number of fields of the first line: pandas judges the next ones by it, in a part as in a file."""
    line = data[: data.find(b"\n") + 1 or len(data)].decode("utf-8", "replace")
    return len(next(csv.reader([line]), []))


def _bytes(path: str, part: FilePart) -> tuple[bytes, bytes]:
    """Return the header, and the header with the part behind it."""
    with open(path, "rb") as stream:
        header = stream.read(part.header)
        stream.seek(part.start)
        return header, header + stream.read(part.length)


def _refuse_booleans(data: bytes, columns: Columns) -> None:
    """Refuse True and False in numbers: pandas accepts them in columns of nothing else, so the whole column counts."""
    import pandas as pd

    numbers = {column.name for column in columns if column.type in NUMBERS}
    texts = pd.read_csv(BytesIO(data), index_col=False, dtype=str, usecols=numbers.__contains__)
    if texts.isin(list(BOOLEANS)).to_numpy().any():
        raise NotInPartsError("it has True or False where numbers are required")
