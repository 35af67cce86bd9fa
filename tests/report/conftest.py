"""A job of 100,000 mini-batches."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from batchtwin.engine.ledger import Entry, Ledger
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.report.write import write_report
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.protocol import Failure, Outcome


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    """The ledger of 100,000 mini-batches by 60 workers, some of which failed, each with a message of its own."""
    output = OutputFolder(tmp_path_factory.mktemp("large"))
    batches = [MiniBatch(n, (InputFile(f"/in/{n:06}.csv", 100, 0),)) for n in range(100_000)]
    facts = {"started": "2026-01-01T00:00:00.000+00:00", "runs": "1", "environment": "here, Python 3.11"}
    with closing(Ledger.create(output.ledger, facts, batches, {})) as ledger:
        ledger.add(entry(number) for number in range(100_000))
    return output


def entry(number: int) -> Entry:
    worker, started = f"node{number % 3}/process{number % 60:03}", 1767225600 + number * 0.01
    if number % 50 == 7:
        message = f"ValueError: {'abcdefghij'[number % 10] * 3} {number % 300} at /tmp/{number}"
        return Entry(Failure(worker, "raised", message, 1, started, "", number, 1, 0.5), True)
    return Entry(Outcome(number, 1, worker, "s", 0, 0, 0, 10, 1, 0, 1, started, 0.5, 0.4), True)


@pytest.fixture
def large_job(large: OutputFolder) -> Path:
    """Its folder, with a report."""
    with closing(Ledger.open(large.ledger)) as ledger:
        write_report(large, ledger)
    return large.root
