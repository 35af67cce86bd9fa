"""The rules of a job, as a table: what the deployment says, what happens, how it ends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtwin.engine.job import Job, Rules, Status, Submit
from batchtwin_node.protocol import Failure, FailureKind, Outcome, Ready


def outcome(number: int, succeeded: int = 1, failed: int = 0, attempt: int = 1) -> Outcome:
    return Outcome(
        mini_batch=number,
        attempt=attempt,
        worker="node0/process000",
        segment="s",
        offset=0,
        length=0,
        crc=0,
        rows=succeeded,
        succeeded=succeeded,
        failed=failed,
        pid=1,
        started=0,
        seconds=0,
        run_seconds=0,
    )


def failure(number: int | None, attempt: int = 1, kind: FailureKind = "raised", worker: str = "w") -> Failure:
    return Failure(worker=worker, kind=kind, message=f"{kind}!", mini_batch=number, attempt=attempt, pid=1, started=0)


def job(count: int = 2, tries: int = 1, threshold: int = -1, append_row: bool = True, workers: int = 1) -> Job:
    return Job([1] * count, Rules(tries, threshold, append_row, workers))


def driver(workers: int) -> Job:
    return Job([1] * 9, Rules(1, -1, True, workers, driver=True))


def raised(text: str) -> Failure:
    """A worker that could not load its model."""
    return replace(failure(None, 0, "init"), message=text, traceback="Traceback ...")


def feed(subject: Job, events: Sequence[Outcome | Failure | Ready]) -> list[object]:
    return [command for event in events for command in subject.on(event)]


def test_every_mini_batch_is_submitted_in_order() -> None:
    assert job(3).start() == [Submit(0, 1), Submit(1, 1), Submit(2, 1)]


@pytest.mark.parametrize(
    ("subject", "events", "status", "cause"),
    [
        (job(), [outcome(0), outcome(1)], Status.COMPLETED, ""),
        (job(), [outcome(0)], Status.RUNNING, ""),
        (job(), [Ready(worker="w", seconds=1)], Status.RUNNING, ""),
        (job(), [outcome(0), failure(1)], Status.COMPLETED, ""),
        (job(), [failure(0), failure(1)], Status.FAILED, "There is no succeeded mini batch item"),
        (job(append_row=False), [failure(0), failure(1)], Status.COMPLETED, ""),
        (job(threshold=0), [failure(0)], Status.FAILED, "failed items is 1, which exceeds error threshold 0."),
        (job(threshold=0), [outcome(0, 0, 1)], Status.FAILED, "exceeds error threshold 0."),
        (job(threshold=1), [failure(0), outcome(1)], Status.COMPLETED, ""),
        (job(threshold=1), [failure(0), failure(1)], Status.FAILED, "exceeds error threshold 1."),
        (job(tries=2, threshold=0), [failure(0), outcome(0, attempt=2), outcome(1)], Status.COMPLETED, ""),
        (job(tries=2, threshold=0), [failure(0), failure(0, 2)], Status.FAILED, "exceeds error threshold 0."),
        (job(tries=9), [failure(0, kind="bad_file")], Status.FAILED, "bad_file!"),
        (job(tries=9), [failure(0, kind="write")], Status.FAILED, "write!"),
        (job(), [failure(None, 0, "script")], Status.FAILED, "script!"),
        (job(), [failure(None, 0, "crashed")], Status.RUNNING, ""),
        (job(workers=1), [failure(None, 0, "init")] * 2, Status.RUNNING, ""),
        (job(workers=1), [failure(None, 0, "init")] * 3, Status.FAILED, "had raised exception for 3 times."),
        (job(workers=2), [failure(None, 0, "init")] * 5, Status.RUNNING, ""),
        (job(workers=2), [failure(None, 0, "init")] * 6, Status.FAILED, "had raised exception for 6 times."),
        # The MLflow driver: one exception in each worker is enough, if no worker was ever ready.
        (driver(workers=2), [raised("a 1")], Status.RUNNING, ""),
        (driver(workers=2), [raised("a 1"), raised("a 0x2f")], Status.FAILED, "had raised exception for 2 times."),
        (driver(workers=2), [raised("a"), raised("b")] + [raised("a")] * 3, Status.RUNNING, ""),
        (driver(workers=2), [raised("a"), raised("b")] + [raised("a")] * 4, Status.FAILED, "exception for 6 times."),
        (driver(workers=2), [Ready(worker="w", seconds=1)] + [raised("a")] * 5, Status.RUNNING, ""),
        (driver(workers=1), [failure(None, 0, "init")] * 2, Status.RUNNING, ""),
    ],
)
def test_outcomes(subject: Job, events: list[Outcome | Failure | Ready], status: Status, cause: str) -> None:
    feed(subject, events)
    assert subject.status is status
    assert cause in subject.cause
    assert bool(cause) == bool(subject.cause)


def test_failed_try_is_submitted_again_until_out_of_tries() -> None:
    subject = job(tries=3)
    assert subject.on(failure(0, 1)) == [Submit(0, 2)]
    assert subject.on(failure(0, 2)) == [Submit(0, 3)]
    assert subject.on(failure(0, 3)) == []
    assert (subject.processed, subject.failed) == (1, 1)


def test_a_mini_batch_counts_once() -> None:
    """A worker that was given up for dead may still report."""
    subject = job(count=3)
    feed(subject, [outcome(0), outcome(0), failure(1), outcome(1)])
    assert (subject.succeeded, subject.failed, subject.processed) == (1, 1, 2)


def test_nothing_counts_after_the_end() -> None:
    subject = job(count=3)
    assert subject.cancel() == []
    assert subject.status is Status.CANCELED
    feed(subject, [outcome(0), failure(1)])
    assert subject.processed == 0
    subject.cancel()
    assert subject.cause == "canceled by a signal"


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=8),
    tries=st.integers(1, 3),
    threshold=st.integers(-1, 6),
    seed=st.integers(0, 2**32),
)
def test_counts_add_up_and_the_verdict_does_not_depend_on_order(
    sizes: list[int], tries: int, threshold: int, seed: int
) -> None:
    """The same fates of mini-batches, in any order of events, give the same verdict; items add up."""
    fates = random.Random(seed)  # noqa: S311 - not for secrets
    fails = [fates.choice([0, fates.randint(0, tries)]) for _ in sizes]  # failed tries of each mini-batch
    short = [fates.randint(0, size) for size in sizes]
    verdicts = set()
    for _ in range(3):
        subject = Job(sizes, Rules(tries, threshold, True, 1))
        waiting = subject.start()
        while waiting and subject.status is Status.RUNNING:
            command = waiting.pop(fates.randrange(len(waiting)))
            assert isinstance(command, Submit)
            number, attempt = command.mini_batch, command.attempt
            if attempt <= fails[number]:
                waiting += [each for each in subject.on(failure(number, attempt)) if isinstance(each, Submit)]
            else:
                waiting += subject.on(outcome(number, sizes[number] - short[number], short[number], attempt))
        assert subject.succeeded + subject.failed == subject.processed_items
        if subject.status is Status.COMPLETED:
            assert subject.processed_items == sum(sizes)
        verdicts.add(subject.status)
    assert len(verdicts) == 1
