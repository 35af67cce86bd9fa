"""How the lines of a predictions file are laid out, and what names a row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from batchtwin.compare.grammar import Grammar

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
    found = Counter(map(_likely, lines))
    for layout in (Layout.ROWS, Layout.IMAGES):
        if 2 * found[layout, 0] > len(lines):
            return layout
    (layout, _), count = found.most_common(1)[0]
    return layout if 2 * count > len(lines) else Layout.LINES


def _likely(line: bytes) -> tuple[Layout, int]:
    fields = COMMA.fields(line)
    if _row_key(fields) and FILE_NAME.fullmatch(fields[2]):
        return Layout.ROWS, 0
    if _image_key(fields) and IMAGE_NAME.fullmatch(fields[1]):
        return Layout.IMAGES, 0
    count = len(SPACE.fields(line))
    return (Layout.FRAME, count) if count > 1 else (Layout.LINES, 0)
