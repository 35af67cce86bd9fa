"""Any job, with whatever befalls its files: what must come out is worked out here, by other means, and comes out."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from support import Finished, Project, batchtwin

# A file holds its fate. Raises and deaths happen when the file is first met, or always.
SCRIPT = """
    import os, pathlib, signal, time
    ROWS = {rows}
    def met_before(name):
        try:
            pathlib.Path(os.environ["MET"], name).touch(exist_ok=False)
        except FileExistsError:
            return True
        return False
    def run(mini_batch):
        result = []
        for path in map(pathlib.Path, mini_batch):
            fate = path.read_text()
            if fate == "raises" or fate == "raises once" and not met_before(path.name):
                raise ValueError(path.name)
            if fate == "dies once" and not met_before(path.name):
                os.kill(os.getpid(), signal.SIGKILL)
            if fate == "prints":
                print(path.name)
            if fate == "slow":
                time.sleep(0.3)
            result += [f"{{path.name}} {{row}}" for row in range(ROWS[fate])]
        return result
"""
ROWS = {
    "one row": 1,
    "no rows": 0,
    "many rows": 1000,
    "slow": 2,
    "prints": 1,
    "raises": 1,
    "raises once": 1,
    "dies once": 1,
}
EXAMPLES = 200 if "BATCHTWIN_SOAK_SECONDS" in os.environ else 10


@dataclass(frozen=True)
class Case:
    """A job: the fate of each file by name, and what the deployment and the command line say."""

    fates: dict[str, str]
    size: int = 1
    workers: int = 2
    max_retries: int = 3
    threshold: int = -1
    append_row: bool = True


@dataclass(frozen=True)
class End:
    """How a mini-batch must end: `rows` is None if it is out of tries, for the last try's `cause`."""

    number: int
    names: list[str]
    attempts: int
    rows: list[str] | None
    cause: tuple[str, str] | None
    printed: list[str]

    @property
    def failed(self) -> int:
        """Items that must count as failed."""
        return max(0, len(self.names) - len(self.rows or []))


def rows_of(name: str, fate: str) -> list[str]:
    return [f"{name} {row}" for row in range(ROWS[fate])]


def ends(case: Case) -> list[End]:
    names = sorted(case.fates)
    batches = [names[start : start + case.size] for start in range(0, len(names), case.size)]
    return [end_of(number, batch, case) for number, batch in enumerate(batches)]


def end_of(number: int, names: list[str], case: Case) -> End:
    met: set[str] = set()
    printed: list[str] = []
    tries = max(1, case.max_retries)
    cause = None
    for attempt in range(1, tries + 1):
        cause, rows = attempt_at(names, case, met, printed)
        if cause is None:
            return End(number, names, attempt, rows, None, printed)
    return End(number, names, tries, None, cause, printed)


def attempt_at(
    names: list[str], case: Case, met: set[str], printed: list[str]
) -> tuple[tuple[str, str] | None, list[str]]:
    """What one try comes to: its cause of failure (kind, text), or its rows."""
    rows: list[str] = []
    for name in names:
        fate = case.fates[name]
        is_new = name not in met
        if fate in {"raises once", "dies once"}:
            met.add(name)
        if fate == "raises" or (fate == "raises once" and is_new):
            return ("raised", f"ValueError: {name}"), []
        if fate == "dies once" and is_new:
            return ("crashed", "exits with returncode -9."), []
        if fate == "prints":
            printed.append(name)
        rows += rows_of(name, fate)
    return None, rows


def score(case: Case, folder: Path) -> Finished:
    project = Project(folder / "project", SCRIPT.format(rows=ROWS))
    for name, fate in case.fates.items():
        (project.inputs / name).write_text(fate)
    project.settings = {
        "mini_batch_size": case.size,
        "retry_settings": {"max_retries": case.max_retries},
        "error_threshold": case.threshold,
        "output_action": "append_row" if case.append_row else "summary_only",
    }
    (folder / "met").mkdir()
    return project.score("--workers", str(case.workers), env={"MET": str(folder / "met")})


def assert_failures(done: Finished, expected: list[End]) -> None:
    """One record per file of a mini-batch that is out of tries, one for all files of one that fell short."""
    assert list(listed(done)) == [
        record
        for end in expected
        for record in (
            [(end.number, end.attempts, "shortfall", end.names, end.failed)] * (end.failed > 0)
            if end.cause is None
            else [(end.number, end.attempts, end.cause[0], [name], 1) for name in end.names]
        )
    ]
    causes = {end.number: end.cause[1] for end in expected if end.cause}
    assert all(causes.get(record["mini_batch"], "") in record["message"] for record in done.failures)


def listed(done: Finished) -> Iterator[tuple[int, int, str, list[str], int]]:
    for record in done.failures:
        files = [os.path.basename(path) for path in record.get("files") or [record["file"]]]
        yield record["mini_batch"], record["attempts"], record["kind"], files, record.get("failed", 1)


def assert_exactly_once(done: Finished, case: Case) -> None:
    """The rows of every file are in the output, or it is listed as failed; once."""
    rows = Counter(done.predictions.splitlines())
    failed = Counter(os.path.basename(record["file"]) for record in done.failures if "file" in record)
    for name, fate in case.fates.items():
        expected = [rows[row] for row in rows_of(name, fate)]
        assert failed[name] in {0, 1}, name
        assert {*expected} <= {1 - failed[name]}, name
    assert rows.total() == sum(len(rows_of(name, case.fates[name])) for name in case.fates if not failed[name])


def assert_stopped(done: Finished, case: Case, expected: list[End]) -> None:
    """Over the threshold a job stops: how far it came depends on timing, its verdict does not."""
    counts = re.search(r"Processed (\d+) mini batches containing (\d+) items, (\d+) succeeded, (\d+) failed", done.out)
    assert counts
    processed, items, succeeded, failed = map(int, counts.groups())
    assert (done.code, succeeded + failed) == (1, items)
    assert processed <= len(expected)
    assert case.threshold < failed <= sum(end.failed for end in expected)
    assert f"The number of failed items is {failed}, which exceeds error threshold {case.threshold}." in done.err
    numbers = {record["mini_batch"] for record in done.failures}
    assert sum(record[-1] for record in listed(done)) == failed
    assert_failures(done, [end for end in expected if end.number in numbers])


def assert_ended(done: Finished, case: Case, expected: list[End]) -> None:
    """Every mini-batch ended: all that a job says and leaves is known."""
    items, failed = len(case.fates), sum(end.failed for end in expected)
    rows = [row for end in expected for row in end.rows or []] if case.append_row else []
    completed = failed < items or not case.append_row
    summary = (
        f"There are {len(expected)} mini batches with {items} items. Processed {len(expected)} mini batches containing "
        f"{items} items, {items - failed} succeeded, {failed} failed. The error threshold is {case.threshold}."
    )
    assert (done.code, done.out.splitlines()[:3]) == (
        0 if completed else 1,
        [
            "Completed" if completed else "Failed",
            summary,
            f"{items - failed} files, {len(rows)} rows"
            + (f"; {failed} file{'s' * (failed > 1)} failed" if failed else ""),
        ],
    )
    assert ("There is no succeeded mini batch item" in done.err) == (not completed)
    assert_failures(done, expected)
    printed = [name for end in expected for name in end.printed]
    assert sorted(done.log("user/stdout/*/*").splitlines()) == sorted(printed)
    assert batchtwin("verify", done.output).code == 1 - completed
    if completed and case.append_row:
        assert done.predictions == "".join(f"{row}\n" for row in rows)
        assert_exactly_once(done, case)
        assert not (done.output / "segments").exists()


cases = st.builds(
    Case,
    fates=st.dictionaries(
        st.text("abB0_ é", min_size=1, max_size=3).map("{}.txt".format),
        st.sampled_from(list(ROWS)),
        min_size=1,
        max_size=7,
    ),
    size=st.integers(1, 4),
    workers=st.integers(1, 3),
    max_retries=st.integers(0, 3),
    threshold=st.integers(-1, 5),
    append_row=st.booleans(),
)


# Those given by name are of each kind of end; "slow" first, so that others end before it.
# What fails is printed with a line that repeats it; the seed is a new one each time, in CI too.
@settings(max_examples=EXAMPLES, deadline=None, derandomize=False, print_blob=True)
@example(Case({"a.txt": "raises", "b.txt": "no rows"}, max_retries=1))
@example(Case({"a.txt": "raises", "b.txt": "no rows"}, append_row=False))
@example(Case({"a.txt": "dies once", "b.txt": "raises once", "c.txt": "prints"}, size=3, max_retries=2))
@example(Case({"a.txt": "dies once", "b.txt": "raises once", "c.txt": "prints"}, size=3, max_retries=3))
@example(Case({"a.txt": "no rows", "b.txt": "one row", "c.txt": "many rows"}, workers=1))
@example(Case({"a.txt": "slow", "b.txt": "one row", "c.txt": "raises", "d.txt": "one row"}, max_retries=2))
@example(Case({"a.txt": "many rows", "b.txt": "raises", "c.txt": "no rows", "d.txt": "prints"}, threshold=1))
@given(cases)
def test_what_must_come_out_comes_out(case: Case) -> None:
    expected = ends(case)
    with tempfile.TemporaryDirectory() as folder:
        done = score(case, Path(folder))
        assert "batchtwin/cli.py" not in done.err, "a traceback, and not the script's"
        predictions = done.output / "named-outputs/score/predictions.csv"
        assert predictions.exists() == (done.code == 0 and case.append_row)
        if 0 <= case.threshold < sum(end.failed for end in expected):
            assert_stopped(done, case, expected)
        else:
            assert_ended(done, case, expected)
