"""A file that does not fit the model's signature, and the exact place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from batchtwin_node.protocol import BadFile
from batchtwin_node.readers.file_kind import HEAD, PARQUET, other_kind

LONGEST = 200
# Control characters that texts of several lines have.
LINES = "\n\t"
# How many names of columns are listed, and how much of each.
LISTED, LONGEST_NAME = 10, 60
# More names are not compared with a missing one: that would take longer than to read the file.
MOST_COMPARED = 200


class BadFileError(Exception):
    """Raised by readers; the text of the service, with column, row and value [A, named +].

    `row` counts the file's records from 0, `line` is the line, from 1, on which that record begins. The text is one
    line, whatever the file's name or content.
    """

    def __init__(
        self,
        path: str,
        problem: str,
        *,
        column: str | None = None,
        row: int | None = None,
        line: int | None = None,
        value: str | None = None,
    ) -> None:
        text = f"Exception: {_where(column, row, line)}{problem}"
        self._set(BadFile(file=path, message=_message(path, text), column=column, row=row, line=line, value=value))

    def _set(self, bad_file: BadFile) -> None:
        self.bad_file = bad_file
        super().__init__(bad_file.message)


class NotInPartsError(Exception):
    """A file cannot be scored in parts, with this model or at all; the text says why."""


class UnsupportedTypeError(BadFileError):
    """There is no reader for the file's ending [A]."""

    def __init__(self, path: str, ending: str) -> None:
        self._set(BadFile(file=path, message=_message(path, f"File type '{ending}' is not supported.")))


def _message(path: str, text: str) -> str:
    message = f"ERROR:azureml:Error processing input file: '{path}'. {text}"
    return printable(message)


def _where(column: str | None, row: int | None, line: int | None) -> str:
    places = [f"column '{column}'"] * (column is not None) + [f"row {row}"] * (row is not None)
    lines = [f"line {line}"] * (line is not None)
    if places and lines:
        return f"{', '.join(places)} ({lines[0]}): "
    return "".join(f"{part}: " for part in [", ".join(places), *lines] if part)


def printable(text: str, kept: str = "") -> str:
    """Return a text that cannot act on a terminal: control characters are escaped, except those in `kept`.

    Marks of writing direction and characters without width are escaped too.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode("ascii") for char in text
    )


def quote(value: str) -> str:
    """Return a value of a file in quotes, cut where it is long."""
    return repr(_cut(value, LONGEST))


def listed(names: Sequence[str], form: Callable[[str], str] = repr) -> str:
    """Return names of columns as one readable line: the first ones, and how many there are."""
    first = ", ".join(form(_cut(name, LONGEST_NAME)) for name in names[:LISTED])
    more = len(names) - LISTED
    return f"{first} and {more} more ({len(names)} in all)" if more > 0 else first


def advice_on(missing: Sequence[str], names: Sequence[str], expected: Iterable[str] = ()) -> str:
    """Return advice on missing columns: names may differ slightly, or the header may be missing.

    `names` are those of the file, `expected` those that it may have.
    """
    if names and names[0].lower().startswith("sep="):
        return "the first line is for Excel: remove it"
    alike = {_bare(name): name for name in names}
    for name in missing:
        if _bare(name) in alike:
            return f"names are compared as they are: {quote(alike[_bare(name)])} is not {quote(name)}"
    if any(map(_is_number, names)) and not any(map(_is_number, missing)):
        return "the first line seems to hold values: add a line with the names of the columns above it"
    others = {name for name in names if len(name) <= LONGEST_NAME}.difference(expected)
    meant = list(_meant(missing, others)) if len(others) <= MOST_COMPARED else []
    return f"did you mean {' and '.join(meant)}?" if meant else "add what is missing"


def _meant(missing: Sequence[str], others: set[str]) -> Iterator[str]:
    """Yield missing columns, each with a similar name of the file."""
    from difflib import get_close_matches

    for name in missing[:LISTED]:
        for other in get_close_matches(name, sorted(others), n=1, cutoff=0.66):
            others = others - {other}
            yield f"{quote(name)} by {quote(other)}"


def _bare(name: str) -> str:
    return name.strip(" \t'\"").replace(" ", "_").casefold()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def summarize(error: BaseException) -> str:
    """Return the message of an exception in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def unreadable_parquet(path: str, error: Exception) -> BadFileError:
    """Return the error for a file that is no Parquet: its true format, or the library's message."""
    return BadFileError(path, f"not a readable Parquet file: {kind_of(path, PARQUET) or summarize(error)}")


def kind_of(path: str, expected: str) -> str | None:
    """Return the true format of a file that is not what it should be, CSV or PARQUET; None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return other_kind(stream.read(HEAD), expected)
    except OSError:
        return None


def unreadable(path: str, error: OSError) -> BadFileError:
    """Return the error for a file that is missing, or that the system refuses."""
    return BadFileError(path, f"cannot be read: {os.strerror(error.errno) if error.errno else summarize(error)}")
