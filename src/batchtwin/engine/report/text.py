"""Values as text for people. No text of a script or a file name can act on the page, or hide on it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

LONGEST = 200


def show(value: object, longest: int = LONGEST) -> str:
    """Return a value as one line of printable text: long text is cut in the middle, controls are escaped.

    Controls are all characters that Python does not call printable, also marks of writing direction, and lone
    surrogates, which no file can hold.
    """
    text = str(value)
    if len(text) > longest:
        head = longest * 2 // 3
        text = f"{text[:head]} … {text[head - longest :]} ({len(text):,} characters)"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def count(number: int) -> str:
    """`1,234`."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """`1 file`, `2 files`; a noun that ends in `ch` gets `es`."""
    ending = "" if number == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number:,} {noun}{ending}"


def figure(number: float, digits: int = 4) -> str:
    """A number with so many significant digits, and no more zeros than it needs."""
    if math.isnan(number) or math.isinf(number):
        return str(number)
    if number and not 1e-4 <= abs(number) < 1e15:
        return f"{number:.{digits - 1}e}"
    whole = math.floor(math.log10(abs(number))) + 1 if number else 1
    text = f"{number:,.{max(0, digits - max(whole, 1)) if abs(number) >= 1 else digits - min(whole, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rate(number: float) -> str:
    """A rate: one decimal below 10, whole numbers above."""
    return f"{number:,.1f}" if number < 10 else f"{number:,.0f}"


def seconds(value: float) -> str:
    """`0.42 s`, `12.3 s`, `3 min 07 s`, `2 h 05 min`."""
    if 0 < value < 0.001:
        return "< 1 ms"
    if value < 0.9995:
        return f"{max(value, 0) * 1000:.0f} ms"
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(number: float) -> str:
    """Bytes with a decimal prefix."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def percent(share: float) -> str:
    """Return a share as per cent, with one decimal; a positive share is never shown as 0."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def instant(value: float) -> str:
    """A time (seconds since the epoch) to the second, in UTC."""
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"


def parse_time(text: str) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch; without an offset it is UTC. None if it is invalid."""
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
