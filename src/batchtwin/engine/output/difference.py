"""Where a predictions file first differs from what was committed, as far as sums of whole mini-batches tell.

The ledger has one sum for each mini-batch. Rows that carry file and number, as the MLflow driver's do, show where one
is missing, doubled or torn. A changed prediction is found if the right value stands nearby, as a class does.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from batchtwin.inputs.plan import MiniBatch
from batchtwin.predictions.file import LineLayout, fields_of
from batchtwin.safe_open import open_file
from batchtwin_node.codec import value_object
from batchtwin_node.protocol import Outcome

# Bytes that are read beyond a range, in case something was inserted; and the size of a range whose values are tried.
BEYOND, TRIED_BYTES, TRIED_VALUES = 1 << 20, 1 << 16, 16
Key = tuple[str, int | None]


@value_object
class _Range:
    """The bytes in the place of an outcome's rows: from byte `offset`, line `line` (from 1)."""

    outcome: Outcome
    mini_batch: MiniBatch
    data: bytes
    offset: int
    line: int


def first_difference(
    path: Path, root: Path, outcomes: Sequence[Outcome], mini_batches: Sequence[MiniBatch], size: int
) -> str:
    """Say which row of which file is the first that is not as it was written; `size` is what the file had then.

    Raises:
        OSError: the file cannot be read.
    """
    with open_file(path, "rb", root) as source:
        surplus = source.seek(0, 2) - size
        source.seek(0)
        offset, line = 0, 1
        for outcome in outcomes:
            data = source.read(outcome.length)
            if len(data) < outcome.length or zlib.crc32(data) != outcome.crc:
                data = _as_long_as_it_is_now(source, offset, outcome.length, surplus)
                part = _Range(outcome, mini_batches[outcome.mini_batch], data, offset, line)
                return f"{path}: first difference at {_place(part, path.name)}: {_named(part)}"
            offset, line = offset + outcome.length, line + data.count(b"\n")
    return f"{path}: first difference at row {line} of {path.name}: what follows was not written by the job"


def _as_long_as_it_is_now(source: BinaryIO, offset: int, length: int, surplus: int) -> bytes:
    """Return the range with what was inserted, or without what was removed, if the file has no other change."""
    source.seek(offset)
    return source.read(max(0, length + min(surplus, BEYOND)))


def _named(part: _Range) -> str:
    names = [file.name for file in part.mini_batch.files]
    files = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    span = f"bytes {part.offset} to {part.offset + part.outcome.length} (mini batch {part.mini_batch.id}, {files})"
    return f"{span} are not what was written"


def _place(part: _Range, name: str) -> str:
    lines = part.data.split(b"\n")[:-1]
    keys = _keys(part)
    row = _misplaced(lines, keys) if keys else None
    if row is None and keys:
        row = _changed(lines, part.outcome)
    first = row or 0
    later = 0 if row is not None else part.outcome.rows - 1
    more = f", or up to {later} rows after it" if later > 0 else ""
    if keys and first < len(keys):
        file, number = keys[first]
        return f"row {number or 0} of {file}{more} (line {part.line + first})"
    return f"row {part.line + first} of {name}{more}"


def _keys(part: _Range) -> list[Key]:
    """File and row of each line, where the script counts rows file by file; no row for the only one, as of an image."""
    outcome = part.outcome
    bad = {entry.file for entry in outcome.bad_files}
    files = [file for file in part.mini_batch.files if file.path not in bad]
    if outcome.file_rows is None or len(files) != len(outcome.file_rows):
        return []
    counted = [(file.name, rows) for file, (_, rows) in zip(files, outcome.file_rows, strict=True)]
    return [(name, row if rows > 1 else None) for name, rows in counted for row in range(rows)]


def _misplaced(lines: Sequence[bytes], keys: Sequence[Key]) -> int | None:
    """Return the first line whose file or row is wrong; None if there is none, or if a quoted field spans lines."""
    if any(line.count(b'"') % 2 for line in lines):
        return None
    for at, (file, row) in enumerate(keys):
        fields = fields_of(lines[at], b",") if at < len(lines) else []
        if len(fields) not in ({3} if row is not None else {2, 3}) or fields[-1].decode(errors="replace") != file:
            return at
        if len(fields) == 3 and fields[0] != str(row or 0).encode():
            return at
    return len(keys) if len(lines) > len(keys) else None


def _changed(lines: list[bytes], outcome: Outcome) -> int | None:
    """Return the line that gives the committed sum with another line's prediction; None if there is none."""
    data = b"".join(line + b"\n" for line in lines)
    if len(data) > TRIED_BYTES:
        return None
    predictions = [_split(line) for line in lines]
    values = list(dict.fromkeys(value for _, value, _ in predictions))[:TRIED_VALUES]
    end, crc = 0, 0
    for at, (line, (before, value, after)) in enumerate(zip(lines, predictions, strict=True)):
        end += len(line) + 1
        for other in values:
            restored = before + other + after + b"\n"
            if other != value and len(data) - len(line) - 1 + len(restored) == outcome.length:
                if zlib.crc32(data[end:], zlib.crc32(restored, crc)) == outcome.crc:
                    return at
        crc = zlib.crc32(line + b"\n", crc)
    return None


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Split a line into the text before the prediction, the prediction, and the text after it."""
    before, _, rest = line.partition(b",") if LineLayout.ROWS.key(line) else (b"", b"", line)
    value, _, after = rest.rpartition(b",")
    return before + b"," if before else b"", value, b"," + after
