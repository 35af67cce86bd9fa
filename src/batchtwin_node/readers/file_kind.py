"""The true format of a file, by its first bytes, if its ending does not fit; used after a read has failed."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder

HEAD = 1 << 16
CSV, PARQUET, IMAGE = "CSV", "Parquet", "an image"
# How a file begins, its format, and what to do.
BEGINNINGS = (
    (b"\x1f\x8b", "a gzip file", "unpack it"),
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"BZh", "a bzip2 file", "unpack it"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook or another Office file", "save its sheet as CSV"),
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"ARROW1", "an Arrow (Feather) file", "save it as Parquet"),
    (b"ORC", "an ORC file", "save it as Parquet"),
    (b"Obj\x01", "an Avro file", "save it as Parquet"),
    (b"\x89HDF\r\n", "an HDF5 file", "save it as Parquet"),
    (b"SQLite format 3\x00", "an SQLite database", "save its table as CSV"),
    (b"%PDF", "a PDF document", "save its table as CSV"),
    (b"\x89PNG", "a PNG image", "name it .png"),
    (b"GIF8", "a GIF image", "name it .gif"),
    (b"II*\x00", "a TIFF image", "name it .tiff"),
    (b"MM\x00*", "a TIFF image", "name it .tiff"),
    *((b"\x80%c\x95" % version, "a Python pickle", "save its table as CSV or Parquet") for version in (4, 5)),
    (b"{\\rtf", "an RTF document", "save its table as CSV"),
    (b"<<<<<<< ", "a file with a conflict that Git left", "resolve the conflict"),
    (b"\xff\xd8\xff", "a JPEG image", "name it .jpg"),
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS", "get the file itself: git lfs pull"),
)
OFFICE = ((b"xl/", "an Excel workbook"), (b"[Content_Types].xml", "an Office file, such as an Excel workbook"))
TEXT_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32 text"),
    (b"\x00\x00\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
MARKUP = (
    (re.compile(rb"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE), "an HTML page, such as a page to sign in"),
    (re.compile(rb"\s*<\?xml\b", re.IGNORECASE), "an XML document"),
    (re.compile(rb"\s*(\{\s*\"|\[\s*[\[{\"\d-])"), "JSON"),
)
BOM = b"\xef\xbb\xbf"
NOT_UTF_8 = ", not UTF-8"
SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'", "\x01": "the character 1, as Hive writes it"}
TAR, TAR_AT = b"ustar", 257
QUOTED = re.compile(r'"[^"]*"')
# Bytes that no text has; and their percentage that makes a file binary if it is not UTF-8, or in any case.
CONTROL = bytes({*range(32)} - set(b"\t\n\v\f\r\x1b"))
BINARY, SURELY_BINARY = 10, 40


def other_kind(head: bytes, expected: str) -> str | None:
    """Return the format of a file with the first bytes `head`, and what to do, if that is not what it should be.

    `expected` is CSV, PARQUET or IMAGE.
    """
    if not head.replace(BOM, b"", 1).strip():
        return "the file holds nothing but blanks" if head else "the file is empty"
    kind = _by_beginning(head) or _by_encoding(head) or _by_markup(head)
    if kind is not None:
        name, advice = kind
        if name == f"a {expected} file" or (expected == IMAGE and name.endswith("image")):
            return None
        return f"this is {name}: {advice}" if NOT_UTF_8 in name else f"this is {name}, not {expected}: {advice}"
    if _is_binary(head):
        return f"this is binary data, not {expected}"
    if expected == PARQUET:
        return "this is text, not Parquet: name it .csv if it is CSV"
    if expected == IMAGE:
        return None
    separator = separator_of(head)
    return separator and f"separated by {separator}, the service reads commas: save it with commas"


def _is_binary(head: bytes) -> bool:
    """Whether control characters are too many for a text, which may have a stray one."""
    share = (len(head) - len(head.translate(None, CONTROL))) * 100 // len(head)
    return share >= SURELY_BINARY or (share >= BINARY and not _is_utf_8(head))


def _is_utf_8(head: bytes) -> bool:
    try:
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _by_beginning(head: bytes) -> tuple[str, str] | None:
    for beginning, kind, advice in BEGINNINGS:
        if head.startswith(beginning):
            office = [name for mark, name in OFFICE if mark in head] if kind == "a zip archive" else []
            return (office[0], "save its sheet as CSV") if office else (kind, advice)
    return ("a tar archive", "unpack it") if head[TAR_AT:].startswith(TAR) else None


def _by_encoding(head: bytes) -> tuple[str, str] | None:
    """Return UTF-16 if the file has its mark at the beginning, or a zero in every other byte of Latin letters."""
    zeros = [head[at::2].count(0) * 2 for at in (0, 1)]
    kind = next((name for mark, name in TEXT_MARKS if head.startswith(mark)), None)
    if kind is None and max(zeros) > len(head) * 0.8 and min(zeros) < len(head) * 0.2:
        kind = "UTF-16 text"
    return None if kind is None else (kind + NOT_UTF_8, "save it as UTF-8")


def _by_markup(head: bytes) -> tuple[str, str] | None:
    text = head[len(BOM) :] if head.startswith(BOM) else head
    kind = next((kind for pattern, kind in MARKUP if pattern.match(text)), None)
    return None if kind is None else (kind, "save its table as CSV" if kind == "JSON" else "look where it came from")


def separator_of(head: bytes) -> str | None:
    """Return the separator if it is no comma: the header has none, and it and its first record have others."""
    lines = [line for line in head.decode("utf-8-sig", "replace").splitlines(keepends=True) if line.strip()]
    if len(head) >= HEAD and len(lines) == 2 and not lines[1].endswith(("\r", "\n")):
        lines.pop()  # the rest of it is not in the head
    if lines and len(lines[0].rstrip()) <= 5 and lines[0].lower().startswith("sep="):
        return SEPARATORS.get(lines[0][4:5])
    bare = [QUOTED.sub("", line) for line in lines[:2]]
    if not bare or "," in bare[0]:
        return None
    for separator, name in SEPARATORS.items():
        counts = [line.count(separator) for line in bare]
        if all(counts):
            return name
    return None
