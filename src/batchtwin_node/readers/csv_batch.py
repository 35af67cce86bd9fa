"""Small CSV files -> one table, read as one text: most of the time for a short file is the start of a read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from batchtwin_node.readers import csv_file, ending
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.readers.columns import NUMBERS, pandas_version
from batchtwin_node.readers.csv_checks import BOOLEAN
from batchtwin_node.readers.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

    # A table, and the (path, rows) of its files, in order.
    BatchTable = tuple[pd.DataFrame, list[tuple[str, int]]]

# The most bytes of all files together.
MOST_BYTES = 1 << 24


def read_many(paths: Sequence[str], signature: Signature | None) -> BatchTable | None:
    """Read small CSV files with the same header as one text; return None if one of them needs a closer look.

    Here a line is a row: no quotes, no carriage returns, no blank lines, and only types that do not depend on the rest
    of their column.
    """
    if signature is None or signature.records or any(ending(path) != ".csv" for path in paths):
        return None
    texts = _texts(paths)
    if texts is None:
        return None
    header, bodies = texts
    text_bytes = b"".join([header, *bodies])
    counts = [body.count(b"\n") for body in bodies]
    first = bodies[0].partition(b"\n")[0]
    if first.count(b",") != header.count(b",") or BOOLEAN.search(text_bytes):
        return None
    try:
        names = csv_file.names_in(header)
        columns = signature.in_table(paths[0], names)
        if columns is None or any(column.type not in NUMBERS | {"string"} for column in columns):
            return None
        with csv_file.strictly():
            table = csv_file.read_typed(BytesIO(text_bytes), columns, names)
    except csv_file.refusals():
        return None
    except BadFileError:
        return None
    return (table, list(zip(paths, counts))) if len(table) == sum(counts) else None


def _texts(paths: Sequence[str]) -> tuple[bytes, list[bytes]] | None:
    """Return the common header line, and the rest of each file."""
    header, bodies, left = b"", [], MOST_BYTES
    for path in paths:
        try:
            with open(path, "rb") as stream:
                text = stream.read(left + 1)
        except OSError:
            return None
        left -= len(text)
        line, newline, body = text.partition(b"\n")
        header = header or line + newline
        if left < 0 or not line.strip() or line + newline != header or b'"' in text or b"\r" in text:
            return None
        if body[-1:] != b"\n" or b"\n\n" in text:
            return None
        bodies.append(body)
    return header, bodies


def split_files(batch: BatchTable) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each file's path and table, with its rows numbered from 0, as if it had been read alone."""
    import pandas as pd

    table, files = batch
    low = 0
    for path, count in files:
        part = table.iloc[low : low + count]
        if pandas_version() < 3:
            part = part.copy()  # the model may write to it; later versions copy on write
        part.index = pd.RangeIndex(count)
        low += count
        yield path, part
