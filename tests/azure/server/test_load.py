"""A crowd of clients on one server, for a short time; `make bench WHAT=serve` is the long one."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from typing import Any

from served import Server

from support import DEADLINE, ROOT


def test_a_crowd_loses_nothing(record_property: Any) -> None:
    words = ["--clients", "40", "--seconds", "8", "--jobs", "2", "--idle", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serve_load", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(done.stdout)
    record_property("note", f"{measured['requests']} requests of 40 clients, {measured['jobs']} jobs")
    assert (measured["errors"], measured["lost"]) == ([], 0)
    assert measured["completed"] == measured["jobs"] > 0
    assert measured["idle_mb"] < 150


def test_answers_come_at_once(server: Server) -> None:
    """Small answers on a kept connection must not wait for the client's acknowledgement, which takes it 40 ms."""
    line = http.client.HTTPConnection("localhost", server.connection.http_port, timeout=DEADLINE)
    took = []
    for _ in range(30):
        began = time.monotonic()
        line.request("GET", "/none")
        assert line.getresponse().read()
        took.append(time.monotonic() - began)
    line.close()
    assert min(took[1:]) < 0.02
