"""Processes of a job seen from outside: signals to them by chance, and what of them is left."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

PR_SET_CHILD_SUBREAPER = 36
# A job that takes longer hangs.
HUNG_SECONDS = 240.0
# What ends with the controller has so long for it.
GRACE_SECONDS = 20.0


@contextmanager
def adopted_orphans() -> Iterator[None]:
    """Be the parent of all that a job leaves, for a while: nothing of it is out of sight."""
    prctl = ctypes.CDLL(None).prctl
    assert not prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@dataclass
class Budget:
    """How often each may be hit in one job, so that no mini-batch runs out of tries by it; what was done is counted."""

    left: Counter[str] = field(default_factory=lambda: Counter(controller=4, node=2, child=4, stop=1))
    done: Counter[str] = field(default_factory=Counter)

    def spend(self, *names: str) -> bool:
        """Take one of each, if they are left."""
        if min(self.left[name] for name in names) <= 0:
            return False
        self.left.subtract(names)
        return True


def processes_of(process: subprocess.Popen[bytes]) -> dict[str, list[psutil.Process]]:
    """Return the controller, its node with its supervisor, and the node's children: fork server, workers, orphans."""
    controller = psutil.Process(process.pid)
    supervisors = [child for child in controller.children() if "batchtwin_node.node" in " ".join(child.cmdline())]
    nodes = [child for supervisor in supervisors for child in supervisor.children()]
    children = [child for node in nodes for child in node.children()]
    return {"controller": [controller], "node": [*supervisors, *nodes], "child": children}


def hit(process: subprocess.Popen[bytes], chance: random.Random, budget: Budget) -> None:
    """Send a signal to a process of the job."""
    role = chance.choice(["controller", "node", "child", "child"])
    name = chance.choice(["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGSTOP", "SIGSEGV"])
    if role == "node" and name in {"SIGTERM", "SIGINT"}:
        name = "SIGKILL"
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        victims = processes_of(process)[role]
        if not victims or not budget.spend(role, *(["stop"] if name == "SIGSTOP" else [])):
            return
        victim = chance.choice(victims)
        victim.send_signal(signal.Signals[name])
        budget.done[f"{role} {name}"] += 1
        if name == "SIGSTOP" and role != "child":
            time.sleep(chance.uniform(0.1, 2.0))
            victim.send_signal(signal.SIGCONT)


def run_and_hit(process: subprocess.Popen[bytes], chance: random.Random, budget: Budget) -> bool:
    """Wait for the end of a command, with hits in between; whether it ended in time. What hangs is killed."""
    deadline = time.monotonic() + HUNG_SECONDS
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.choice([chance.uniform(0.0, 0.6), chance.uniform(0.5, 4.0)]))
            return True
        hit(process, chance, budget)
    process.kill()
    process.wait()
    return False


def left_over(before: set[int]) -> list[str]:
    """Wait until only the processes of `before` live; return the others, which are then killed."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (others := _others(before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    sent = []
    for other in others:
        with suppress(psutil.NoSuchProcess):
            sent.append(f"{other.pid} of {other.ppid()} in session {os.getsid(other.pid)}: {' '.join(other.cmdline())}")
            other.kill()
    while _others(before):
        time.sleep(0.05)
    return sent


def _others(before: set[int]) -> list[psutil.Process]:
    others = []
    for child in psutil.Process().children(recursive=True):
        if child.pid not in before:
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if child.status() == psutil.STATUS_ZOMBIE and child.ppid() == os.getpid():
                    os.waitpid(child.pid, os.WNOHANG)
                    continue
                others.append(child)
    return others
