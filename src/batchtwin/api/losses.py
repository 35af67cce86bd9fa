"""Values in memory that a file would not keep: texts that UTF-8 lacks, and texts that CSV changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from batchtwin.errors import InputError

# Texts that pandas reads from CSV as missing values, quoted or not. Source: pandas 3, `_libs/parsers.pyx`, and earlier
# ones.
MISSING_IN_CSV = frozenset(
    "|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null".split("|")
)
SHOWN = 60
_ADVICE = "has half of a surrogate pair, which is no character; decode it with the right encoding, or replace it"


def refuse_no_text(columns: Mapping[str, Iterable[object]]) -> None:
    """Refuse texts with lone surrogates: no file can hold them.

    Raises:
        InputError: naming row (from 0) and column of the first one.
    """
    for name, values in columns.items():
        if not _is_text(name):
            raise InputError(f"input: the name of column {_quoted(name)} {_ADVICE}")
        for row, value in enumerate(values):
            for text in _texts(value):
                if not _is_text(text):
                    raise InputError(f"input: row {row}, column {name!r}: {_quoted(text)} {_ADVICE}")


def refuse_missing_in_csv(columns: Mapping[str, Sequence[object]], advice: str) -> None:
    """Refuse texts that are read from CSV as missing values.

    Raises:
        InputError: naming row (from 0) and column of the first one.
    """
    for name, values in columns.items():
        for row, value in enumerate(values):
            if isinstance(value, str) and value in MISSING_IN_CSV:
                raise InputError(
                    f"input: row {row}, column {name!r}: the text {value!r} would be read as a missing value from CSV; "
                    f"{advice}"
                )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
