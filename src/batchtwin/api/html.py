"""A result in a notebook: status, numbers, and the distribution of the predictions."""

from __future__ import annotations

import math
import sys
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

from batchtwin.engine.job import Status
from batchtwin.errors import BatchTwinError

if TYPE_CHECKING:
    from batchtwin.api.result import Result

COLOURS = {Status.COMPLETED: "#1a7f37", Status.FAILED: "#cf222e", Status.CANCELED: "#9a6700"}
# Up to so many different values are shown by frequency; beyond that, numbers are shown as a histogram.
CLASSES, BINS = 12, 20
WIDTH, HEIGHT, LABEL = 240, 14, 120
# Longest text of the user, in characters.
LONGEST, LONGEST_LABEL = 500, 24
# Most rows in the picture: a notebook should not wait for it.
MOST_BYTES = 64 << 20
Bar = tuple[str, int]


def result_html(result: Result) -> str:
    """Return HTML without scripts. Every text of the user is escaped and cut."""
    head = (
        f"<div><strong style='color:{COLOURS.get(result.status, 'inherit')}'>{escape(str(result.status))}</strong> "
        f"&middot; {result.files:,} files &middot; {result.failed:,} failed &middot; {result.rows:,} rows "
        f"&middot; {result.seconds:,.1f} s</div>"
    )
    cause = f"<pre>{_shown(result.cause)}</pre>" if result.cause else ""
    warnings = "".join(f"<div>&#9888; {_shown(warning)}</div>" for warning in result.warnings[:5])
    return f"<div>{head}{cause}{warnings}{_picture(result)}<div><code>{_shown(str(result.folder))}</code></div></div>"


def _shown(text: str) -> str:
    # Isolated, so that right-to-left text does not turn the text beside it.
    return f"<bdi>{_clean(text, LONGEST)}</bdi>"


def _clean(text: str, longest: int) -> str:
    """Return text escaped, cut, and without characters that change how the rest is shown."""
    text = text if len(text) <= longest else f"{text[:longest]}..."
    return escape("".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text))


def _picture(result: Result) -> str:
    path = result.predictions_file
    try:
        if path is None or path.stat().st_size > MOST_BYTES:
            return ""
        predictions = result.predictions
    except (BatchTwinError, OSError):  # no pandas, or the file was moved
        return ""
    if "prediction" not in predictions:
        return ""
    bars = distribution(predictions["prediction"].tolist())
    return _svg(bars) if bars else ""


def distribution(values: list[Any]) -> list[Bar]:
    """Return how often each value, or each range of numbers, occurs; missing values come last."""
    present = [value for value in values if not _is_missing(value)]
    missing = [("missing", len(values) - len(present))] if len(present) < len(values) else []
    numbers = [value for value in present if isinstance(value, int | float) and abs(value) <= sys.float_info.max]
    counts = Counter(map(str, present))
    if len(counts) > CLASSES and len(numbers) == len(present):
        return _histogram([float(number) for number in numbers]) + missing
    shown = counts.most_common(CLASSES)
    if len(shown) == len(counts):
        return sorted(shown) + missing
    others = len(present) - sum(count for _, count in shown)
    return [*shown, (f"{len(counts) - len(shown):,} others", others), *missing]


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _histogram(numbers: list[float]) -> list[Bar]:
    low, high = min(numbers), max(numbers)
    # Halves, because the difference of two large numbers may be infinite.
    step = high / BINS - low / BINS
    bins = Counter(min(BINS - 1, int((number / BINS - low / BINS) / step * BINS)) if step else 0 for number in numbers)
    return [(f"from {low + step * number:.4g}", bins[number]) for number in range(BINS if step else 1)]


def _svg(bars: list[Bar]) -> str:
    most = max(count for _, count in bars) or 1
    lines = []
    for at, (label, count) in enumerate(bars):
        top = at * (HEIGHT + 2)
        text = _clean(label, LONGEST_LABEL)
        lines.append(
            f"<text x='{LABEL - 6}' y='{top + HEIGHT - 3}' text-anchor='end' unicode-bidi='isolate'>{text}</text>"
            f"<rect x='{LABEL}' y='{top}' width='{WIDTH * count / most:.1f}' height='{HEIGHT}' fill='#0969da'/>"
            f"<text x='{LABEL + WIDTH * count / most + 4:.1f}' y='{top + HEIGHT - 3}'>{count:,}</text>"
        )
    height = len(bars) * (HEIGHT + 2)
    return (
        f"<svg role='img' aria-label='Distribution of the predictions' width='{LABEL + WIDTH + 80}' height='{height}' "
        f"font-size='11' font-family='sans-serif' fill='currentColor'>{''.join(lines)}</svg>"
    )
