"""One field of a CSV file."""

from __future__ import annotations


def csv_field(text: str) -> str:
    """Quote a text as CSV needs it."""
    if any(character in text for character in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
