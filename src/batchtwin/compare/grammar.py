"""Quoted fields: lines -> records, where a quoted field may hold line ends, separators and doubled quotes.

A record is one `bytes` without line end. A line end within a quoted field is held as NUL and `n`, so that
a record is one line in a temporary file too.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

# A quoted field with more lines than this is taken for a stray quote.
MOST_LINES = 1000


def shown(record: bytes) -> str:
    """Return a record as text, with its own line ends, and escapes where it is not UTF-8."""
    if b'"' in record:
        record = re.sub(rb"\0[n\0]", lambda found: b"\n" if found[0] == b"\0n" else b"\0", record)
    return record.decode(errors="backslashreplace")


class Grammar:
    """Fields with one separator, quoted where they hold it, a quote or a line end. `tidy`: drop other quotes."""

    def __init__(self, separator: bytes, tidy: bool) -> None:
        self.separator = separator
        self.tidy = tidy
        inside, between = rb'[^"]*(?:""[^"]*)*', re.escape(separator)
        whole = rb'(?:"' + inside + rb'"|[^"' + between + rb"]*)"
        begun = between + rb'"' + inside
        self._one = re.compile(whole)
        self._complete = re.compile(whole + rb"(?:" + between + whole + rb")*")
        self._opens = re.compile(rb"(?:" + whole + between + rb')*"' + inside)
        self._closes = re.compile(inside + rb'"(?:' + between + whole + rb")*")
        self._goes_on = re.compile(inside + rb'(?:"(?:' + between + whole + rb")*" + begun + rb")?")

    def complete(self, line: bytes) -> bool:
        """Tell whether these are whole fields."""
        return self._complete.fullmatch(line) is not None

    def opens(self, line: bytes) -> bool:
        """Tell whether the last field of a first line goes on in the next."""
        return self._opens.fullmatch(line) is not None

    def closes(self, line: bytes) -> bool:
        """Tell whether a line that begins within quotes ends the record."""
        return self._closes.fullmatch(line) is not None

    def goes_on(self, line: bytes) -> bool:
        """Tell whether a line that begins within quotes ends within quotes."""
        return self._goes_on.fullmatch(line) is not None

    def fields(self, record: bytes) -> list[bytes]:
        """Return the fields, unquoted; one field, the record itself, where it is malformed."""
        if b'"' not in record:
            return record.split(self.separator)
        if not self.complete(record):
            return [record]
        fields, at = [], 0
        while at <= len(record):
            text = self._one.match(record, at)[0]  # type: ignore[index]
            fields.append(text[1:-1].replace(b'""', b'"') if text.startswith(b'"') else text)
            at += len(text) + 1
        return fields

    def record(self, lines: list[bytes]) -> bytes:
        """Return the record that well-formed lines make."""
        whole = b"\n".join(lines)
        if self.tidy:
            whole = self.separator.join(map(self._quoted, self.fields(whole)))
        return whole.replace(b"\0", b"\0\0").replace(b"\n", b"\0n")

    def _quoted(self, text: bytes) -> bytes:
        if any(special in text for special in (self.separator, b'"', b"\n", b"\r")):
            return b'"' + text.replace(b'"', b'""') + b'"'
        return text


@dataclass
class Joiner:
    """Joins lines into records, block by block; a malformed line is a record of its own."""

    grammar: Grammar
    held: list[bytes] = field(default_factory=list)

    def join(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Give the records that end in these lines."""
        waiting = deque(lines)
        while waiting:
            line = waiting.popleft()
            if self.held:
                self.held.append(line)
                yield from self._settled(line, waiting)
            elif b'"' not in line:
                yield line
            elif self.grammar.complete(line):
                yield self.grammar.record([line])
            elif self.grammar.opens(line):
                self.held = [line]
            else:
                yield line

    def _settled(self, line: bytes, waiting: deque[bytes]) -> Iterator[bytes]:
        held = self.held
        if self.grammar.closes(line):
            self.held = []
            yield self.grammar.record(held)
        elif len(held) > MOST_LINES or not self.grammar.goes_on(line):
            # The quote was a stray one: its line stands alone, the others are read again.
            self.held = []
            waiting.extendleft(reversed(held[1:]))
            yield held[0]

    def rest(self) -> Iterator[bytes]:
        """Give what is left at the end of a file."""
        while self.held:
            first, *others = self.held
            self.held = []
            yield first
            yield from self.join(others)
