"""CPU and memory over time, from the samples in `logs/perf`. Memory is bounded, whatever the files hold."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from batchtwin.engine.report.text import parse_time
from batchtwin.safe_open import open_file, open_folder

MOST_NODES = 8
MOST_BYTES = 4 << 20
FEWEST_SAMPLES = 3
BINS = 120


@dataclass
class NodeUsage:
    """A node over time: for each bin the mean CPU (per cent of all cores) and the largest memory, None without sample.

    `memory` is what the machine uses of `total` bytes, `workers` what the job's workers use.
    """

    name: str
    cpu: list[float | None] = field(default_factory=lambda: [None] * BINS)
    memory: list[float | None] = field(default_factory=lambda: [None] * BINS)
    workers: list[float | None] = field(default_factory=lambda: [None] * BINS)
    total: float = 0.0
    samples: int = 0


def read_usage(logs: Path, root: Path, began: float, seconds: float) -> tuple[list[NodeUsage], int]:
    """Return the usage of nodes, and how many more nodes there are. Unreadable files are left out."""
    try:
        folder = open_folder(logs / "perf", root)
    except OSError:
        return [], 0
    try:
        names = sorted(os.listdir(folder))
    finally:
        os.close(folder)
    nodes = [_node(logs / "perf" / name, root, began, seconds) for name in names[:MOST_NODES]]
    return _distinct(nodes), max(0, len(names) - MOST_NODES)


def _distinct(nodes: list[NodeUsage]) -> list[NodeUsage]:
    """Merge nodes that are one machine, which has the same samples for each; drop nodes with too few samples."""
    distinct: list[NodeUsage] = []
    for node in nodes:
        twin = next((other for other in distinct if (other.cpu, other.memory) == (node.cpu, node.memory)), None)
        if twin:
            twin.name += f", {node.name}"
            twin.workers = [_sum(pair) for pair in zip(twin.workers, node.workers, strict=True)]
        elif node.samples >= FEWEST_SAMPLES:
            distinct.append(node)
    return distinct


def _sum(pair: tuple[float | None, float | None]) -> float | None:
    return None if pair == (None, None) else (pair[0] or 0.0) + (pair[1] or 0.0)


def _node(folder: Path, root: Path, began: float, seconds: float) -> NodeUsage:
    node = NodeUsage(folder.name)
    counts = [0] * BINS
    for at, row in _rows(folder / "node_resource_usage.csv", root, began, seconds):
        cpu, used = _float(row, "cpu_percent"), _float(row, "memory_used_bytes")
        if node.samples:  # the first sample has no earlier one, and says 0
            node.cpu[at] = ((node.cpu[at] or 0.0) * counts[at] + min(cpu, 100.0)) / (counts[at] + 1)
            counts[at] += 1
        node.memory[at] = max(node.memory[at] or 0.0, used)
        node.total = max(node.total, _float(row, "memory_total_bytes"))
        node.samples += 1
    together: dict[tuple[int, str], float] = {}
    for at, row in _rows(folder / "processes_resource_usage.csv", root, began, seconds):
        stamp = (at, row.get("time") or "")
        together[stamp] = together.get(stamp, 0.0) + _float(row, "memory_rss_bytes")
    for (at, _), used in together.items():
        node.workers[at] = max(node.workers[at] or 0.0, used)
    return node


def _rows(path: Path, root: Path, began: float, seconds: float) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the samples with their bins; of a file that is too long only the beginning."""
    with suppress(OSError, csv.Error):
        with open_file(path, "rb", root) as stream:
            text = stream.read(MOST_BYTES).decode("utf-8", "replace")
        for row in csv.DictReader(io.StringIO(text)):
            time = parse_time(row.get("time") or "")
            if time is not None and 0 <= time - began <= seconds + 1:
                yield min(BINS - 1, int((time - began) / max(seconds, 1e-6) * BINS)), row


def _float(row: Mapping[str, str], name: str) -> float:
    try:
        number = float(row.get(name) or 0)
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e18 else 0.0
