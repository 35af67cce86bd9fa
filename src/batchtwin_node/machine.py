"""How much of this machine this process may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

CGROUPS = Path("/sys/fs/cgroup")
CGROUP = Path("/proc/self/cgroup")


def cpus(cgroups: Path = CGROUPS, cgroup: Path = CGROUP) -> int:
    """Return how many CPUs this process may use: those of its affinity, at most its control group's quota, at least 1.

    A quota of one and a half CPUs counts as 2: two workers are busy for three quarters of the time.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *_quotas(cgroups, cgroup)]))


def _quotas(cgroups: Path, cgroup: Path) -> Iterator[int]:
    """Yield the quotas of this process's group and of those above it, in whole CPUs, rounded up."""
    try:
        lines = cgroup.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            yield from _quotas_above(cgroups, group, "cpu.max")
        elif "cpu" in controllers.split(","):
            yield from _quotas_above(cgroups / controllers, group, "cpu.cfs_quota_us")


def _quotas_above(top: Path, group: str, name: str) -> Iterator[int]:
    folder = top / group.strip("/")
    for place in (folder, *folder.parents):
        if top not in (place, *place.parents):
            return
        try:
            words = (place / name).read_text().split()
            if name == "cpu.cfs_quota_us":
                words += (place / "cpu.cfs_period_us").read_text().split()
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):  # no quota is `max`; a group of another namespace has no folder here
            continue
        if quota > 0 and period > 0:
            yield -(-quota // period)
