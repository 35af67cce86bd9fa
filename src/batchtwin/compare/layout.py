"""How the lines of a predictions file are laid out, and what names a row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from batchtwin.compare.grammar import Grammar, Joiner

COMMA = Grammar(b",", tidy=True)
SPACE = Grammar(b" ", tidy=False)
FILE_NAME = re.compile(rb".*\.[A-Za-z][A-Za-z0-9]{0,9}", re.DOTALL)
IMAGE_NAME = re.compile(rb".*\.(png|jpe?g|tiff|bmp|gif)", re.DOTALL | re.IGNORECASE)
# A longer one is no count of rows.
ROW_DIGITS = 18


class Key(NamedTuple):
    """What names a row: its file and its row therein, -1 where a file has one row."""

    name: bytes
    row: int


class Layout(Enum):
    """The layouts of batch jobs' outputs. The value is how people call them."""

    ROWS = "row,prediction,file_name"
    IMAGES = "prediction,file_name"
    FRAME = "fields separated by spaces"
    LINES = "lines of text"

    @property
    def keyed(self) -> bool:
        """Whether rows have names."""
        return self in (Layout.ROWS, Layout.IMAGES)

    @property
    def by(self) -> str:
        """What rows are paired by."""
        return {"ROWS": "by file and row", "IMAGES": "by file"}.get(self.name, "line by line")

    @property
    def grammar(self) -> Grammar | None:
        """How fields are quoted; None where a quote is a character like any other."""
        return COMMA if self.keyed else SPACE if self is Layout.FRAME else None

    @property
    def bucket_key(self) -> Callable[[bytes], bytes] | None:
        """A quick function of a record that depends on nothing but its key; None for the record itself."""
        return {"ROWS": _first_and_last, "IMAGES": _last}.get(self.name)

    @property
    def rest(self) -> Callable[[bytes], bytes]:
        """A quick function that gives what a record of a keyed layout has beside its bucket key."""
        return _second_to_last if self is Layout.ROWS else _all_but_last

    def key(self, record: bytes) -> Key | None:
        """Return the name of a row; None if it has none or is malformed."""
        if self is Layout.ROWS:
            return _row_key(COMMA.fields(record))
        return _image_key(COMMA.fields(record)) if self is Layout.IMAGES else None


def _first_and_last(record: bytes) -> bytes:
    return record[: record.find(b",")] + record[record.rfind(b",") :]


def _last(record: bytes) -> bytes:
    return record[record.rfind(b",") :]


def _second_to_last(record: bytes) -> bytes:
    return record[record.find(b",") + 1 : record.rfind(b",")]


def _all_but_last(record: bytes) -> bytes:
    return record[: record.rfind(b",")]


def _row_key(fields: list[bytes]) -> Key | None:
    if len(fields) != 3 or not fields[2] or not _is_count(fields[0]):
        return None
    return Key(fields[2], int(fields[0]))


def _image_key(fields: list[bytes]) -> Key | None:
    return Key(fields[1], -1) if len(fields) == 2 and fields[1] else None


def _is_count(text: bytes) -> bool:
    return text.isdigit() and len(text) <= ROW_DIGITS and (text[:1] != b"0" or text == b"0")


def layout_of(lines: Sequence[bytes]) -> Layout | None:
    """Return the layout that most of a file's first lines have; None without lines."""
    if not lines:
        return None
    rows = [COMMA.fields(record) for record in _records(COMMA, lines)]
    if 2 * sum(map(_is_row, rows)) > len(rows):
        return Layout.ROWS
    if 2 * sum(map(_is_image, rows)) > len(rows):
        return Layout.IMAGES
    return Layout.FRAME if _is_frame(_records(SPACE, lines)) else Layout.LINES


def _is_frame(records: Sequence[bytes]) -> bool:
    """Most rows have the same number of fields, and every one with a quote: elsewhere a quote is a mere character."""
    widths = [len(SPACE.fields(record)) for record in records]
    [(width, times)] = Counter(widths).most_common(1)
    quoted = (count for count, record in zip(widths, records, strict=True) if b'"' in record)
    return width > 1 and 2 * times > len(widths) and all(count == width for count in quoted)


def _records(grammar: Grammar, lines: Sequence[bytes]) -> list[bytes]:
    joiner = Joiner(grammar)
    return [*joiner.join(lines), *joiner.rest()]


def _is_row(fields: list[bytes]) -> bool:
    return _row_key(fields) is not None and FILE_NAME.fullmatch(fields[2]) is not None


def _is_image(fields: list[bytes]) -> bool:
    return _image_key(fields) is not None and IMAGE_NAME.fullmatch(fields[1]) is not None
