"""Predictions files: where they are, their layouts, their records, and the name of a row."""

from __future__ import annotations

import operator
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import chain
from pathlib import Path

from batchtwin.errors import BatchTwinError
from batchtwin.predictions import SCORE

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAGIC = {b"PAR1": "a Parquet file", b"\x1f\x8b": "a gzip file", b"PK\x03\x04": "a zip file"}
HEAD, BLOCK, LONGEST_LINE = 1 << 16, 1 << 20, 1 << 26
# A quoted field with more lines than this counts as a stray quote.
MOST_LINES = 1000
FILE_NAME = re.compile(rb".*\.[A-Za-z][A-Za-z0-9]{0,9}", re.DOTALL)
IMAGE_NAME = re.compile(rb".*\.(png|jpe?g|tiff|bmp|gif)", re.DOTALL | re.IGNORECASE)
ROW_NUMBER = re.compile(rb"0|[1-9]\d{0,17}")
_FIELD = {separator: rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^"%b]*+)' % separator for separator in (b",", b" ")}
FIELD = {separator: re.compile(rb"(?:\A|%b)(%b)" % (separator, field)) for separator, field in _FIELD.items()}
RECORD = {separator: re.compile(rb"%b(?:%b%b)*+" % (field, separator, field)) for separator, field in _FIELD.items()}
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", re.ASCII)
Key = tuple[bytes, int]


class CompareError(BatchTwinError):
    """Two files cannot be compared: one is missing or not made of lines, or temporary files cannot be written."""


class LineLayout(Enum):
    """The layout of the lines of a batch job's output. The value is its name in messages."""

    ROWS = "row,prediction,file_name"
    IMAGES = "prediction,file_name"
    FRAME = "fields separated by spaces"
    LINES = "lines of text"

    @property
    def keyed(self) -> bool:
        """Whether rows have names."""
        return self in (LineLayout.ROWS, LineLayout.IMAGES)

    @property
    def by(self) -> str:
        """What pairs rows."""
        return {"ROWS": "by file and row", "IMAGES": "by file"}.get(self.name, "line by line")

    @property
    def separator(self) -> bytes:
        """What separates fields that may be quoted; empty where a quote is an ordinary character."""
        return b"," if self.keyed else b" " if self is LineLayout.FRAME else b""

    @property
    def bucket_key(self) -> Callable[[bytes], bytes]:
        """Return a quick hash of a record that depends only on its key, if it has one."""
        return {"ROWS": _first_and_last, "IMAGES": _last}.get(self.name, bytes)

    def key(self, record: bytes) -> Key | None:
        """Return the file and the row, -1 where a file is one row; None if the record has no name or is malformed."""
        fields = fields_of(record, b",")
        if self is LineLayout.ROWS and len(fields) == 3 and fields[2] and ROW_NUMBER.fullmatch(fields[0]):
            return fields[2], int(fields[0])
        return (fields[1], -1) if self is LineLayout.IMAGES and len(fields) == 2 and fields[1] else None


def _first_and_last(record: bytes) -> bytes:
    return record[: record.find(b",")] + record[record.rfind(b",") :]


def _last(record: bytes) -> bytes:
    return record[record.rfind(b",") :]


def locate(path: Path) -> Path:
    """Return the predictions file: the path itself, or the only one in a job's output folder.

    Raises:
        CompareError: there is no such file, or more than one.
        OSError: it cannot be looked up.
    """
    if path.is_dir():
        folder = path / SCORE
        names = sorted(name for name in os.listdir(folder) if name[0] != ".") if folder.is_dir() else []
        if len(names) == 1 and (folder / names[0]).is_file():
            return folder / names[0]
        problem = f"{SCORE} holds {len(names)} files ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        problem = problem if names else f"no predictions file in {SCORE} (a failed job has none)"
        raise CompareError(f"{path}: {problem}; name the file to compare")
    if not stat.S_ISREG(path.stat().st_mode):
        raise CompareError(f"{path}: is no regular file; give a predictions file or the output folder of a job")
    return path


def head(path: Path) -> list[bytes]:
    """Return the first lines.

    Raises:
        CompareError: the file is no text.
        OSError: the file cannot be read.
    """
    data = next(blocks(path, HEAD), b"")
    kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
    if kind or b"\0" in data:
        kind = kind or "a binary file"
        raise CompareError(f"{path}: looks like {kind}; expected the text lines of a predictions file")
    # The last line is empty or, in a larger file, cut.
    return data.split(b"\n")[: data.count(b"\n") or 1] if data else []


def line_layout(lines: list[bytes]) -> LineLayout | None:
    """Return the layout of most of a file's first lines; None without lines."""
    if not lines:
        return None
    records, _ = _join(lines, b",", more=False)
    for layout, name in ((LineLayout.ROWS, FILE_NAME), (LineLayout.IMAGES, IMAGE_NAME)):
        keys = [key for key in map(layout.key, records) if key and name.fullmatch(key[0])]
        if 2 * len(keys) > len(records):
            return layout
    # A frame: most rows have as many fields, and so have all those with a quote. Elsewhere a quote is an ordinary
    # character.
    records, _ = _join(lines, b" ", more=False)
    widths = [len(fields_of(record, b" ")) for record in records]
    width, times = Counter(widths).most_common(1)[0]
    quoted = {count for count, record in zip(widths, records, strict=True) if b'"' in record}
    return LineLayout.FRAME if width > 1 and 2 * times > len(widths) and quoted <= {width} else LineLayout.LINES


def _has_header(lines: list[bytes]) -> bool:
    """Whether the first line looks like a header: rows have digits, a header has none."""
    return [re.search(rb"\d", line) is not None for line in lines[:2]] == [False, True]


def comma_of(lines: list[bytes]) -> str:
    """Return a comma, if most lines have as many of them, at least one; JSON is no such line."""
    counts = Counter(line.count(b",") for line in lines if line[:1] not in b"[{")
    often = counts.most_common(1)
    return "," if often and often[0][0] and 10 * often[0][1] >= 9 * len(lines) else ""


def file_field(lines: list[bytes], separator: str) -> int | None:
    """Return the last field that is a file name in most lines, None if there is no such field."""
    if not separator:
        return None
    rows = [line.split(separator.encode()) for line in lines[:200]]
    for at in reversed(range(min(map(len, rows)))):
        if 2 * sum(FILE_NAME.fullmatch(row[at]) is not None for row in rows) > len(rows):
            return at
    return None


def header_of(lines: list[bytes], separator: str) -> list[str]:
    """Return the names that the first line has for fields: none of it is a number, something of the next line is."""
    if separator != "," or not _has_header(lines):
        return []
    fields, row = (line.decode("utf-8", "replace").rstrip("\r").split(separator) for line in lines[:2])
    return fields if any(map(NUMBER.fullmatch, row)) and all(fields) and len({*fields}) == len(fields) else []


def notes(heads: tuple[list[bytes], list[bytes]], layout: LineLayout, malformed: Counter[int]) -> Iterator[str]:
    """Say in words what explains many differences at once.

    `heads`: the first lines, by side; `layout`: that of both; `malformed`: rows without name and partner, by side.
    """
    for side, name in enumerate(("Left", "Right")):
        lines, others = heads[side], heads[1 - side]
        own_layout = line_layout(lines)
        if not lines and others:
            yield f"{name} is empty."
        if not lines or not others:
            continue
        if own_layout and own_layout.keyed and own_layout != layout:
            yield f"{name} has lines `{own_layout.value}` and the other one has not: compared line by line."
        if _has_header(lines) and not _has_header(others):
            yield f"{name} seems to begin with a header; outputs of batch jobs have none."
        if lines[0].endswith(b"\r") and not others[0].endswith(b"\r"):
            yield f"{name} has lines that end with CR LF instead of LF."
        if lines[0].startswith(BYTE_ORDER_MARK) and not others[0].startswith(BYTE_ORDER_MARK):
            yield f"{name} begins with a byte order mark."
        if malformed[side] and layout.keyed:
            yield f"{name}: rows without partner that are not `{layout.value}`: {malformed[side]}."


def blocks(path: Path, size: int = BLOCK) -> Iterator[bytes]:
    """Yield the bytes of a file, in blocks.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        while data := file.read(size):
            yield data


def same_bytes(left: Path, right: Path) -> bool:
    """Compare byte for byte.

    Raises:
        OSError: a file cannot be read.
    """
    return left.stat().st_size == right.stat().st_size and all(map(operator.eq, blocks(left), blocks(right)))


def records(path: Path, layout: LineLayout) -> Iterator[list[bytes]]:
    """Yield the records, a block of them at a time. A quoted field may hold line ends.

    Raises:
        CompareError: a line is too long.
        OSError: the file cannot be read.
    """
    pending: list[bytes] = []
    rest = b""
    for data in chain(blocks(path), [b""]):
        text = rest + data
        *lines, rest = text.split(b"\n")
        if len(rest) > LONGEST_LINE:
            problem = f"a line of more than {LONGEST_LINE:,} bytes; expected the text lines of a predictions file"
            raise CompareError(f"{path}: {problem}")
        if rest and not data:
            lines.append(rest)
        if layout.separator and (pending or b'"' in text):
            lines, pending = _join(pending + lines, layout.separator, more=bool(data))
        yield lines


def _join(lines: list[bytes], separator: bytes, more: bool) -> tuple[list[bytes], list[bytes]]:
    """Return the records of these lines, and the last lines if their record may go on in `more` lines.

    A malformed line is a record of its own.
    """
    records: list[bytes] = []
    at = 0
    while at < len(lines):
        end, quotes = at + 1, lines[at].count(b'"')
        while quotes % 2 and end < len(lines) and end - at <= MOST_LINES:
            quotes, end = quotes + lines[end].count(b'"'), end + 1
        if quotes % 2 and more and end - at <= MOST_LINES:
            return records, lines[at:]
        record = b"\n".join(lines[at:end])
        if quotes and not RECORD[separator].fullmatch(record):
            record, end = lines[at], at + 1
        elif quotes and separator == b",":
            record = b",".join(map(_quoted, fields_of(record, b",")))
        records.append(record)
        at = end
    return records, []


def fields_of(record: bytes, separator: bytes) -> list[bytes]:
    """Return the fields, unquoted; one field, the record itself, where it is malformed."""
    if b'"' not in record:
        return record.split(separator)
    if not RECORD[separator].fullmatch(record):
        return [record]
    return [text[1:-1].replace(b'""', b'"') if text[:1] == b'"' else text for text in FIELD[separator].findall(record)]


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b'"', b'""') + b'"' if re.search(rb'[,"\n\r]', text) else text
