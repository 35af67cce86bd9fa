"""The timeline and the usage of a job as charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from batchtwin.engine.report import svg, text
from batchtwin.engine.report.timeline import BINS, MOST_LANES, Bar, Lane, Timeline
from batchtwin.engine.report.usage import NodeUsage
from batchtwin_node.codec import value_object
from batchtwin_node.protocol import Failure

HEIGHT, LANE_HEIGHT = 90, 16
# A mean rate over fewer seconds means nothing.
SHORTEST_MEAN = 0.2


@value_object
class Chart:
    """A chart with its axis: `top` is the value at the upper edge, `facts` the figures below it."""

    title: str
    picture: Markup
    top: str
    facts: str = ""


@value_object
class LaneView:
    """A worker's lane, and its figures."""

    name: str
    picture: Markup
    tries: int
    busy: str


def lanes(timeline: Timeline) -> list[LaneView]:
    """Return the lane of each worker."""
    seconds = max(timeline.seconds, 1e-6)
    nodes = {name.rpartition("/")[0] for name in timeline.lanes}
    return [
        LaneView(
            lane.name.rpartition("/")[2] if len(nodes) == 1 else lane.name,
            _lane(lane, timeline),
            lane.tries,
            text.percent(min(lane.seconds / seconds, 1)),
        )
        for lane in timeline.ordered()
    ]


def hidden_lanes(timeline: Timeline) -> str:
    """Return a sentence on the workers that have no lane."""
    number = len(timeline.hidden)
    return f"The first {MOST_LANES} workers have a lane; {number:,} more are not drawn." if number else ""


def _lane(lane: Lane, timeline: Timeline) -> Markup:
    seconds = max(timeline.seconds, 1e-6)
    scale = svg.WIDTH / seconds
    shapes = _bars(lane, scale) if timeline.has_bars else _density(lane, timeline)
    deaths = svg.ticks((death * scale for death in lane.deaths), LANE_HEIGHT, "death")
    failed = sum(lane.failed) if not timeline.has_bars else sum(bar.mark == "failed" for bar in lane.bars)
    label = f"Worker {text.show(lane.name, 60)}: {text.plural(lane.tries, 'try').replace('trys', 'tries')}"
    label += f", {failed} failed" if failed else ""
    label += f", ended {text.plural(len(lane.deaths), 'time')} before the job" if lane.deaths else ""
    return svg.picture([*shapes, deaths], LANE_HEIGHT, label)


def _bars(lane: Lane, scale: float) -> Iterator[Markup]:
    for bar in sorted(lane.bars, key=lambda entry: entry.mark == "failed"):
        if bar.event.mini_batch is not None:
            top = 0 if bar.mark == "failed" else 3
            size = ((bar.end - bar.begin) * scale - 0.6, LANE_HEIGHT - 2.0 * top)
            yield svg.rect((bar.begin * scale, top), size, bar.mark, _bar_title(bar))


def _bar_title(bar: Bar) -> str:
    event = bar.event
    begun = f"mini-batch {event.mini_batch}, try {event.attempt}: {text.seconds(event.seconds)}"
    if isinstance(event, Failure):
        return f"{begun}, failed: {text.show(event.kind, 40)}"
    return f"{begun}, {text.plural(event.rows, 'row')}"


def _density(lane: Lane, timeline: Timeline) -> Iterator[Markup]:
    yield svg.steps(lane.busy, timeline.step, LANE_HEIGHT, "ok")
    width = svg.WIDTH / BINS
    for kind, counts in (("retry", lane.retried), ("failed", lane.failed)):
        for number, count in enumerate(counts):
            if count:
                yield svg.rect((number * width, 0), (width * 0.6, LANE_HEIGHT), kind, f"{count} {kind}")


def rates(timeline: Timeline, items: str) -> list[Chart]:
    """Yield charts of rows and items (by their name) per second."""
    charts = []
    for noun, values in (("Rows", timeline.rows), (items, timeline.files)):
        if any(values):
            speeds = _smooth([value / timeline.step for value in values])
            most, working = max(speeds), timeline.last - (timeline.first or 0.0)
            facts = f"Mini-batches ran for {text.seconds(working)}: too short for a mean"
            if working >= SHORTEST_MEAN:
                mean = sum(values) / working
                facts = f"{text.rate(mean)} per second on average while mini-batches ran"
                facts += f", {text.rate(most)} at most" if most > mean else ""
            label = f"{noun} per second over time: {facts}"
            charts.append(
                Chart(
                    f"{noun} per second",
                    svg.picture([svg.steps(speeds, most, HEIGHT, "area")], HEIGHT, label),
                    text.rate(most),
                    facts,
                )
            )
    return charts


def _smooth(values: Sequence[float]) -> list[float]:
    """Average over neighbours: a mini-batch counts when it ends, and the raw values would show ends, not the rate."""
    reach = 3
    padded = [sum(values[max(0, at - reach) : at + reach + 1]) for at in range(len(values))]
    widths = [min(len(values), at + reach + 1) - max(0, at - reach) for at in range(len(values))]
    return [total / width for total, width in zip(padded, widths, strict=True)]


def usage(nodes: list[NodeUsage]) -> Iterator[Chart]:
    """Yield charts of CPU and memory, for each node."""
    for node in nodes:
        name = f"{text.show(node.name, 60)}: " if len(nodes) > 1 else ""
        cpu = [value for value in node.cpu if value is not None]
        if cpu:
            caption = f"{max(cpu):.0f} % at most, of all CPUs of the machine"
            label = f"{name}CPU over time: {caption}"
            yield Chart(
                f"{name}CPU", svg.picture([svg.line(node.cpu, 100, HEIGHT, "line")], HEIGHT, label), "100 %", caption
            )
        memory, workers = ([value or 0 for value in values] for values in (node.memory, node.workers))
        if any(memory):
            top = node.total or max(memory)
            caption = f"{text.size(max(memory))} of the machine at most"
            caption += f", of which {text.size(max(workers))} by this job's workers" if any(workers) else ""
            shapes = [svg.line(node.memory, top, HEIGHT, "line"), svg.line(node.workers, top, HEIGHT, "line second")]
            label = f"{name}memory over time: {caption}"
            yield Chart(f"{name}Memory", svg.picture(shapes, HEIGHT, label), text.size(top), caption)


@value_object
class Phase:
    """A stretch of a job, with its share of the whole in per cent."""

    name: str
    seconds: str
    share: float
    kind: str


def phase_strip(stretches: Sequence[Phase]) -> Markup:
    """Return all stretches side by side."""
    shapes, at = [], 0.0
    for phase in stretches:
        shapes.append(svg.rect((at, 0), (phase.share * 10, 12), phase.kind))
        at += phase.share * 10
    label = ", ".join(f"{phase.name} {phase.seconds}" for phase in stretches)
    return svg.picture(shapes, 12, label)


def phases(timeline: Timeline) -> list[Phase]:
    """Return start, work and finish, as stretches of the job's time."""
    whole = max(timeline.seconds, 1e-6)
    if timeline.first is None:
        return [Phase("Start, without a mini-batch", text.seconds(timeline.seconds), 100.0, "start")]
    lengths = [
        ("Start: workers, imports, init()", timeline.first, "start"),
        ("Work: mini-batches", timeline.last - timeline.first, "work"),
        ("Finish: shutdown, output, manifest", timeline.seconds - timeline.last, "finish"),
    ]
    return [Phase(name, text.seconds(length), round(100 * length / whole, 2), kind) for name, length, kind in lengths]
