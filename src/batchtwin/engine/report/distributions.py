"""Distributions of predictions for the page: tables of classes, histograms, quantiles, drift."""

from __future__ import annotations

import math

from markupsafe import Markup

from batchtwin.engine.report import svg, text
from batchtwin.engine.report.distribution import (
    QUANTILES,
    ColumnCounts,
    chance,
    classes,
    distance,
    ks,
    psi,
    span,
)
from batchtwin.engine.report.predictions import Predictions
from batchtwin_node.codec import value_object

HEIGHT, SMALL_HEIGHT = 110, 44
MOST_TEXTS, MOST_SHOWN_FILES = 10, 12
# The fewest rows of a group: smaller ones differ by chance.
FEWEST_ROWS = 20
# The fewest rows per side for a population stability index.
FEWEST_FOR_PSI = 200


@value_object
class ClassRow:
    """A value: its count, and its share in per cent; `before` is its share in the earlier job."""

    name: str
    count: int
    share: float
    percent: str
    before: float | None = None
    before_percent: str = ""


@value_object
class Histogram:
    """A picture with the ends of its axis."""

    picture: Markup
    low: str
    high: str
    note: str = ""


@value_object
class ColumnView:
    """A column: its values, or its histogram with figures."""

    name: str
    kind: str
    present: int
    missing: int
    missing_percent: str
    classes: list[ClassRow]
    more: str = ""
    histogram: Histogram | None = None
    figures: tuple[tuple[str, str, str], ...] = ()
    drift: tuple[tuple[str, str, str], ...] = ()


@value_object
class FileView:
    """The distribution of one input file, where it differs from all."""

    name: str
    rows: int
    picture: Markup
    distance: str


def column_view(name: str, column: ColumnCounts, before: ColumnCounts | None = None) -> ColumnView:
    """Return the view of a column, beside that of an earlier job."""
    columns = [column, before] if before and before.present else [column]
    kind = (
        "numbers"
        if any(side.kind == "numbers" for side in columns) and all(side.numbers for side in columns)
        else (column.kind)
    )
    missing = text.percent(column.missing / column.rows if column.rows else 0.0)
    earlier = columns[1] if len(columns) > 1 else None
    rows, more = ([], "") if kind == "numbers" else _classes(column, earlier)
    is_numbers = kind == "numbers"
    return ColumnView(
        name,
        kind,
        column.present,
        column.missing,
        missing,
        rows,
        more,
        _histogram(name, columns) if is_numbers else None,
        _figures(column, earlier) if is_numbers else (),
        _drift(column, earlier) if earlier else (),
    )


def _classes(column: ColumnCounts, before: ColumnCounts | None) -> tuple[list[ClassRow], str]:
    names = classes([column, before] if before else [column])
    listed = names if len(names) <= 20 else [name for name, _ in column.values.most_common(MOST_TEXTS)]
    old = before.shares(listed) if before else []
    rows = [
        ClassRow(
            name,
            column.values.get(name, 0),
            round(100 * share, 2),
            text.percent(share),
            round(100 * old[at], 2) if old else None,
            text.percent(old[at]) if old else "",
        )
        for at, (name, share) in enumerate(zip(listed, column.shares(listed), strict=True))
    ]
    if len(listed) == len(names) and not column.others:
        return rows, ""
    if column.values and max(column.values.values()) == 1 and not column.others:
        return rows, f"All {len(names):,} values are different; the first {len(listed)} are shown."
    at_least = "more than " if column.others else ""
    return rows, f"The {len(listed)} most frequent of {at_least}{len(names):,} different values."


def _histogram(name: str, columns: list[ColumnCounts]) -> Histogram:
    low, high, is_cut = span(columns)
    shares = [column.histogram(low, high) for column in columns]
    most = max(max(side) for side in shares)
    shapes = [svg.bars(shares[0], most, HEIGHT, "bar")]
    if len(shares) > 1:
        shapes.append(svg.steps(shares[1], most, HEIGHT, "outline"))
    label = f"Histogram of {text.show(name, 60)} from {text.figure(low)} to {text.figure(high)}"
    label += ", with the earlier job as an outline" if len(shares) > 1 else ""
    outside = "Values far outside are not drawn; the table has the smallest and the largest." if is_cut else ""
    return Histogram(svg.picture(shapes, HEIGHT, label), text.figure(low), text.figure(high), outside)


def _figures(column: ColumnCounts, before: ColumnCounts | None) -> tuple[tuple[str, str, str], ...]:
    names = ["smallest", *(f"{share:.0%} quantile".replace("50% quantile", "median") for share in QUANTILES)]
    sides = [_numbers(side) if side else [""] * (len(QUANTILES) + 3) for side in (column, before)]
    return tuple(zip([*names, "largest", "mean"], *sides, strict=True))


def _numbers(column: ColumnCounts) -> list[str]:
    values = [column.low, *column.quantiles(), column.high, column.mean]
    return [text.figure(value) for value in values]


def _drift(column: ColumnCounts, before: ColumnCounts) -> tuple[tuple[str, str, str], ...]:
    """Yield (name, figure, how to read it) of the drift between the two distributions."""
    fewest = min(column.present, before.present)
    index = psi(before, column)
    by_chance = _expected_psi(before, column)
    reading = "below 0.1 is usually called stable, above 0.25 a shift"
    if fewest < FEWEST_FOR_PSI:
        reading = f"not reliable: fewer than {FEWEST_FOR_PSI} rows on a side"
    rows = [("PSI", text.figure(index, 3), f"{reading}; chance alone gives about {text.figure(by_chance, 2)} here")]
    sizes = len(column.numbers), len(before.numbers)
    if "numbers" in (column.kind, before.kind) and all(sizes):
        limit = chance(*sizes)
        statistic = ks(before, column)
        verdict = "more" if statistic > limit else "not more"
        rows.append(("KS", text.figure(statistic, 3), f"{verdict} than chance gives in 95 of 100 cases ({limit:.3f})"))
    else:
        largest = distance(before, column)
        rows.append(("Largest change of a share", text.percent(largest), "KS is for numbers; these are classes"))
    return tuple(rows)


def _expected_psi(before: ColumnCounts, now: ColumnCounts) -> float:
    """Return the mean of PSI where nothing has changed: about (ranges - 1) times (1/n + 1/m)."""
    ranges = 10 if "numbers" in (before.kind, now.kind) else max(len(classes([before, now])), 1)
    sizes = (len(before.numbers), len(now.numbers)) if ranges == 10 else (before.present, now.present)
    return (ranges - 1) * sum(1 / size for size in sizes if size) if all(sizes) else math.nan


def primary(predictions: Predictions) -> ColumnCounts | None:
    """Return the column that files are compared by: the last one of a frame."""
    columns = list(predictions.columns.values())
    if not columns:
        return None
    return columns[-1] if predictions.separator else columns[0]


def file_views(predictions: Predictions) -> tuple[list[FileView], str]:
    """Return the files whose predictions differ from all rows by more than chance, and a sentence on the comparison."""
    whole = primary(predictions)
    groups = {name: group for name, group in predictions.groups.items() if group.present >= FEWEST_ROWS}
    if whole is None or len(predictions.groups) < 2 or whole.kind == "texts":
        return [], ""
    several = text.plural(len(predictions.groups), "file")
    several = f"the first {several}" if predictions.more_groups else several
    if not groups:
        return [], f"No file has {FEWEST_ROWS} rows or more that were read: too few to compare files by."
    ordered = sorted(((distance(group, whole), name) for name, group in groups.items()), reverse=True)
    unlike = [(far, name) for far, name in ordered if far > chance(groups[name].present, whole.present, len(groups))]
    how = "KS distance" if whole.kind == "numbers" else "largest difference of a share"
    too_small = len(predictions.groups) - len(groups)
    left_out = f" {text.plural(too_small, 'file')} with fewer than {FEWEST_ROWS} rows left out." if too_small else ""
    if not unlike:
        return [], f"Of {several} none differs from all rows by more than chance gives ({how}).{left_out}"
    sentence = f"{len(unlike):,} of {several} differ from all rows by more than chance gives ({how}).{left_out}"
    sentence = sentence.replace("1 of", "1 of", 1) if len(unlike) > 1 else sentence.replace(" differ ", " differs ", 1)
    if len(unlike) > MOST_SHOWN_FILES:
        sentence += f" The {MOST_SHOWN_FILES} most different are shown."
    return [_file_view(name, groups[name], whole, far) for far, name in unlike[:MOST_SHOWN_FILES]], sentence


def _file_view(name: str, group: ColumnCounts, whole: ColumnCounts, far: float) -> FileView:
    if whole.kind == "numbers":
        low, high, _ = span([whole])
        shares = [column.histogram(low, high) for column in (group, whole)]
    else:
        names = classes([whole])
        shares = [column.shares(names) for column in (group, whole)]
    most = max(max(side, default=0.0) for side in shares)
    shapes = [svg.bars(shares[0], most, SMALL_HEIGHT, "bar"), svg.steps(shares[1], most, SMALL_HEIGHT, "outline")]
    label = f"Distribution of {text.show(name, 60)} with that of all rows as an outline; distance {far:.2f}"
    return FileView(name, group.present, svg.picture(shapes, SMALL_HEIGHT, label), f"{far:.2f}")
