"""Many clients at once on one `batchtwin serve`, with the requests that the Azure SDK sends (`make bench WHAT=serve`).

Each client uploads a model, code and data, creates endpoint and deployment, and then invokes, polls and reads its
output, again and again, until time is up. It fails with exit code 1 on any answer that is not as it should be, or a job
that is lost, failed, or has other predictions. Also: time to start, memory and CPU while idle.

Jobs are real processes; `--jobs` says how many are under way at once, for they, and not the server, are what the CPUs
are for.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from batchtwin.azure.connection import Connection
from benchmarks.serve_client import Client, Tally

COMMAND = Path(sys.executable).with_name("batchtwin")
IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class Result:
    """What came out. Seconds, megabytes, per cent of one CPU."""

    clients: int
    seconds: float
    start_seconds: float
    idle_mb: float
    idle_cpu_percent: float
    requests: int
    answers: dict[int, int]
    slowest_seconds: float
    jobs: int
    completed: int
    lost: int
    peak_mb: float
    errors: list[str]


def measure(clients: int, seconds: float, jobs: int, idle: float, workspace: Path) -> Result:
    """Start a server, let it idle, and then all clients on it."""
    env = {**os.environ, "BATCHTWIN_WORKSPACE": str(workspace), "BATCHTWIN_MLFLOW": "off"}
    started = time.monotonic()
    with subprocess.Popen([COMMAND, "serve", "--port", "0"], env=env, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout  # noqa: S101 - it is a pipe
        server.stdout.readline()
        start_seconds = time.monotonic() - started
        try:
            process = psutil.Process(server.pid)
            idle_cpu = _idle_cpu(process, idle)
            idle_mb = process.memory_info().rss / 1e6
            began = time.monotonic()
            tally, peak = _load(process, Connection.read(workspace), clients, seconds, jobs)
            took = time.monotonic() - began
        finally:
            server.terminate()
    ended = _ended(env)
    return Result(
        clients=clients,
        seconds=round(took, 1),
        start_seconds=round(start_seconds, 2),
        idle_mb=round(idle_mb, 1),
        idle_cpu_percent=round(idle_cpu, 2),
        requests=sum(tally.answers.values()),
        answers=dict(sorted(tally.answers.items())),
        slowest_seconds=round(tally.slowest, 2),
        jobs=len(tally.jobs),
        completed=sum(ended.get(job) == "Completed" for job in tally.jobs),
        lost=len(tally.jobs.keys() - ended.keys()),
        peak_mb=round(peak / 1e6, 1),
        errors=tally.errors[:20],
    )


def _idle_cpu(process: psutil.Process, seconds: float) -> float:
    """Per cent of a CPU that a process takes with nothing to do."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds if seconds else 0.0


def _load(
    process: psutil.Process, connection: Connection, clients: int, seconds: float, jobs: int
) -> tuple[Tally, int]:
    """Let the clients work; return what they saw, and the most memory that the server took."""
    tally, slots, end = Tally(), threading.Semaphore(jobs), time.monotonic() + seconds
    context = ssl.create_default_context(cafile=str(connection.bundle))
    token = _token(connection)
    crowd = [Client(number, connection, tally, slots, end, context, token) for number in range(clients)]
    threads = [threading.Thread(target=client.work) for client in crowd]
    for thread in threads:
        thread.start()
    peak = 0
    for thread in threads:
        while thread.is_alive():
            peak = max(peak, process.memory_info().rss)
            thread.join(0.2)
    return tally, peak


def _token(connection: Connection) -> str:
    variables = connection.variables()
    line = http.client.HTTPConnection("localhost", connection.http_port, timeout=10)
    path = urlsplit(variables["IDENTITY_ENDPOINT"]).path
    line.request("GET", f"{path}?resource=x", headers={"X-IDENTITY-HEADER": variables["IDENTITY_HEADER"]})
    token = str(json.load(line.getresponse())["access_token"])
    line.close()
    return token


def _ended(env: dict[str, str]) -> dict[str, str]:
    """Status by job, as the workspace has it without the server."""
    words = [
        str(COMMAND),
        "ml",
        "job",
        "list",
        "--all-results",
        "true",
        "--query",
        "[].[name, status]",
        "--output",
        "json",
    ]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)  # noqa: S603
    return dict(json.loads(done.stdout))


def main() -> int:
    """Measure, print the result as JSON; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--jobs", type=int, default=4, help="jobs that run at once")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds to watch the idle server")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchtwin-load-") as folder:
        result = measure(asked.clients, asked.seconds, asked.jobs, asked.idle, Path(folder))
    print(json.dumps(asdict(result), indent=1))
    return int(bool(result.errors) or result.lost > 0 or result.completed < result.jobs or not result.jobs)


if __name__ == "__main__":
    sys.exit(main())
