"""CPU and memory of a node's machine and of its workers, read from /proc while a job runs."""

from __future__ import annotations

import os
import time
from typing import Mapping, Tuple

from batchtwin_node.protocol import ProcessUsage, Usage

SAMPLE_SECONDS = 5.0
Times = Tuple[float, float]  # clock, CPU seconds used until then


class Sampler:
    """Takes a sample at most every few seconds; where there is no /proc, none."""

    def __init__(self) -> None:
        self._due = 0.0
        self._machine: tuple[float, float] | None = None  # busy, all
        self._processes: dict[int, Times] = {}

    def sample(self, workers: Mapping[str, int]) -> Usage | None:
        """Return a sample if one is due; `workers` maps `node/process` to pid."""
        if time.monotonic() < self._due or not workers:
            return None
        self._due = time.monotonic() + SAMPLE_SECONDS
        try:
            total, available = _memory()
            cpu = self._machine_percent()
        except (OSError, ValueError, KeyError):
            return None
        processes: list[ProcessUsage] = []
        for worker, pid in workers.items():
            try:
                processes.append(self._process(worker, pid))
            except (OSError, ValueError, IndexError):  # it has ended since
                self._processes.pop(pid, None)
        return Usage(cpu_percent=cpu, memory_used=total - available, memory_total=total, processes=tuple(processes))

    def _machine_percent(self) -> float:
        with open("/proc/stat", encoding="ascii") as stream:
            ticks = [int(word) for word in stream.readline().split()[1:9]]
        idle, every = ticks[3] + ticks[4], sum(ticks)
        before, self._machine = self._machine, (every - idle, every)
        if before is None or every == before[1]:
            return 0.0
        return round(100.0 * (every - idle - before[0]) / (every - before[1]), 1)

    def _process(self, worker: str, pid: int) -> ProcessUsage:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
        clock, used = time.monotonic(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before = self._processes.get(pid)
        self._processes[pid] = (clock, used)
        percent = 0.0 if before is None else round(100.0 * (used - before[1]) / max(clock - before[0], 1e-3), 1)
        return ProcessUsage(worker, pid, percent, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


def _memory() -> tuple[int, int]:
    """Return (total, available) bytes of the machine."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in stream if ":" in line}
    return sizes["MemTotal"], sizes["MemAvailable"]
