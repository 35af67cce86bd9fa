"""CPU and memory of the machine and of each worker, sampled while a job runs: the files below `logs/perf`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from batchtwin.engine.logs import made, now

SAMPLE_SECONDS = 5.0
NODE = "time,cpu_percent,memory_used_bytes,memory_total_bytes\n"
PROCESSES = "time,process,pid,cpu_percent,memory_rss_bytes\n"


class Usage:
    """Samples at most every few seconds. All nodes of a local job are this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._due = 0.0
        self._processes: dict[int, psutil.Process] = {}

    def sample(self, workers: Mapping[str, int]) -> None:
        """Write a sample if one is due; `workers` maps `node/process` to pid."""
        if time.monotonic() < self._due or not workers:
            return
        self._due = time.monotonic() + SAMPLE_SECONDS
        stamp, memory, cpu = now(), psutil.virtual_memory(), psutil.cpu_percent()
        for node in {worker.split("/")[0] for worker in workers}:
            line = f"{stamp},{cpu},{memory.total - memory.available},{memory.total}\n"
            _add(self._root / node / "node_resource_usage.csv", NODE, line)
        for worker, pid in workers.items():
            node, process = worker.split("/")
            # A worker may have ended since.
            with suppress(psutil.Error):
                known = self._processes.setdefault(pid, psutil.Process(pid))
                line = f"{stamp},{process},{pid},{known.cpu_percent()},{known.memory_info().rss}\n"
                _add(self._root / node / "processes_resource_usage.csv", PROCESSES, line)


def _add(path: Path, head: str, line: str) -> None:
    text = line if path.exists() else head + line
    with made(path).open("a", encoding="utf-8") as stream:
        stream.write(text)
