"""SVG shapes. Charts stretch to their place, so texts stand beside them, in HTML; colours are classes of the page.

Coordinates of a chart: x from 0 to 1000, y from 0 at the top to `height`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

WIDTH = 1000


def picture(shapes: Iterable[Markup], height: int, label: str) -> Markup:
    """Return a chart; `label` describes it in words."""
    opening = Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}" focusable="false">'
    ).format(WIDTH, height, label)
    return opening + Markup("").join(shapes) + Markup("</svg>")


def rect(at: tuple[float, float], size: tuple[float, float], kind: str, title: str = "") -> Markup:
    """Return a bar at (x, y) of (width, height), wide enough to be seen."""
    width = max(size[0], 1.2)
    shape = Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"').format(
        _short(min(at[0], WIDTH - width)), _short(at[1]), _short(width), _short(size[1]), kind
    )
    if not title:
        return shape + Markup("/>")
    return shape + Markup("><title>{}</title></rect>").format(title)


def path(commands: str, kind: str) -> Markup:
    """A path."""
    return Markup('<path d="{}" class="{}"/>').format(commands, kind) if commands else Markup("")


def steps(values: Sequence[float], most: float, height: int, kind: str) -> Markup:
    """An area with a flat top for each value, 0 to `most`."""
    if not any(values):
        return Markup("")
    width = WIDTH / len(values)
    words = [f"M0 {height}"]
    before = ""
    for number, value in enumerate(values):
        y = _short(height - height * min(value / (most or 1), 1))
        if y != before:
            words.append(f"H{_short(number * width)}V{y}")
        before = y
    words.append(f"H{WIDTH}V{height}Z")
    return path("".join(words), kind)


def line(values: Sequence[float | None], most: float, height: int, kind: str) -> Markup:
    """A line through the values that there are; a single one is a short dash."""
    width = WIDTH / len(values)
    points = [
        (number * width + width / 2, height - height * min(value / (most or 1), 1))
        for number, value in enumerate(values)
        if value is not None
    ]
    if len(points) == 1:
        x, y = points[0]
        points = [(x - 6, y), (x + 6, y)]
    words = [f"{'L' if number else 'M'}{_short(x)} {_short(y)}" for number, (x, y) in enumerate(points)]
    return path("".join(words), kind)


def bars(values: Sequence[float], most: float, height: int, kind: str) -> Markup:
    """A histogram: one path of bars with small gaps."""
    width = WIDTH / len(values)
    gap = min(2.0, width * 0.1)
    words = []
    for number, value in enumerate(values):
        if value > 0:
            tall = max(height * value / (most or 1), height * 0.006)
            x = _short(number * width + gap / 2)
            words.append(f"M{x} {height}v-{_short(tall)}h{_short(width - gap)}v{_short(tall)}z")
    return path("".join(words), kind)


def ticks(at: Iterable[float], height: int, kind: str) -> Markup:
    """Upright lines over the whole height."""
    return path("".join(f"M{_short(x)} 0V{height}" for x in at), kind)


def _short(number: float) -> str:
    """One decimal is a tenth of a pixel, or less."""
    text = f"{number:.1f}"
    return text[:-2] if text.endswith(".0") else text
