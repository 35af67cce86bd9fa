"""Deployment + files + model -> Plan: the mini-batches, and a fingerprint of all that matters and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtwin.deployment.schema import Deployment
from batchtwin.engine.identity import Identity
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.listing import InputFile, Inputs, list_inputs
from batchtwin.inputs.plan import Plan, content_hash

YAML = """\
type: model
name: my-deployment
endpoint_name: my-endpoint
model: {path: model}
compute: azureml:cluster
settings:
  mini_batch_size: 2
"""
IDENTITY = Identity(deployment="d", model="m", code=None)


def some_inputs(count: int) -> Inputs:
    return Inputs(Path("/in"), True, tuple(InputFile(f"/in/{number:09}", 1, number) for number in range(count)))


@given(st.integers(0, 300), st.integers(1, 350))
def test_mini_batches_are_consecutive_chunks(count: int, size: int) -> None:
    inputs = some_inputs(count)
    plan = Plan.make(inputs.files, size, "f")
    assert [mini_batch.id for mini_batch in plan.mini_batches] == list(range(-(-count // size)))
    assert tuple(file for mini_batch in plan.mini_batches for file in mini_batch.files) == inputs.files
    assert {len(mini_batch.files) for mini_batch in plan.mini_batches[:-1]} <= {size}
    assert all(1 <= len(mini_batch.files) <= size for mini_batch in plan.mini_batches)
    assert plan.items == count


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [(100, 10, [10] * 10), (1, 10, [1]), (11, 10, [10, 1]), (3, 1, [1, 1, 1]), (5, 2**31 - 1, [5])],
)
def test_examples(count: int, size: int, lengths: list[int]) -> None:
    plan = Plan.make(some_inputs(count).files, size, "f")
    assert [len(mini_batch.files) for mini_batch in plan.mini_batches] == lengths


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A deployment, a model, code and input on disk."""
    for name, text in {
        "deployment.yml": YAML,
        "model/MLmodel": "flavors: {}\n",
        "model/data/weights": "1 2 3",
        "code/driver.py": "def run(mini_batch): return mini_batch\n",
        "code/sub/helper.py": "X = 1\n",
        "in/a.csv": "1\n",
        "in/b.csv": "2\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def fingerprint(job: Path, **overrides: str) -> str:
    deployment = Deployment.load(job / "deployment.yml", {f"settings.{key}": text for key, text in overrides.items()})
    return Identity.of(deployment, job / "model", job / "code").fingerprint(list_inputs(job / "in").files)


def rewrite(name: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda job: (job / name).write_text((job / name).read_text().replace(old, new))


def write(name: str, content: str = "x") -> Callable[[Path], object]:
    def change(job: Path) -> None:
        (job / name).parent.mkdir(exist_ok=True)
        (job / name).write_text(content)

    return change


def rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda job: (job / old).rename(job / new)


def touch(name: str, later: int) -> Callable[[Path], object]:
    def change(job: Path) -> None:
        info = (job / name).stat()
        os.utime(job / name, ns=(info.st_atime_ns, info.st_mtime_ns + later))

    return change


def link(name: str, target: str) -> Callable[[Path], object]:
    return lambda job: (job / name).symlink_to(target)


MATTERS: dict[str, Callable[[Path], object]] = {
    "a setting": rewrite("deployment.yml", "size: 2", "size: 3"),
    "another setting": rewrite("deployment.yml", "size: 2", "size: 2\n  error_threshold: 0"),
    "a variable": rewrite("deployment.yml", "size: 2", "size: 2\n  environment_variables: {A: b}"),
    "weights": write("model/data/weights", "1 2 4"),
    "a file more in the model": write("model/extra"),
    "a file of the model renamed": rename("model/data/weights", "model/data/biases"),
    "the script": rewrite("code/driver.py", "return mini_batch", "return []"),
    "a helper": write("code/sub/helper.py", "X = 2\n"),
    "a hidden file": write("code/.env", "X=1"),
    "an input of another size": write("in/a.csv", "11\n"),
    "an input touched": touch("in/a.csv", 1),
    "an input renamed": rename("in/b.csv", "in/c.csv"),
    "an input more": write("in/c.csv"),
    "an input less": lambda job: (job / "in/b.csv").unlink(),
    "a folder linked into the code": link("code/linked", "../model"),
    "a link that leads nowhere": link("code/.#driver.py", "user@host.1"),
}


@pytest.mark.parametrize("change", MATTERS.values(), ids=MATTERS)
def test_the_fingerprint_changes_with(change: Callable[[Path], object], job: Path) -> None:
    before = fingerprint(job)
    change(job)
    assert fingerprint(job) != before


DOES_NOT_MATTER: dict[str, Callable[[Path], object]] = {
    "nothing": lambda job: None,
    "comments": rewrite("deployment.yml", "\n", "  # why\n"),
    "order of keys": write("deployment.yml", "\n".join([*YAML.splitlines()[1:], "type: model\n"])),
    "quotes and case": rewrite("deployment.yml", "type: model", '"type": "Model"'),
    "a default written out": rewrite("deployment.yml", "size: 2", "size: 2\n  error_threshold: -1"),
    "the legacy layout": write("deployment.yml", YAML.replace("type: model\n", "").replace("settings:\n  ", "")),
    "compiled code": write("code/__pycache__/driver.cpython-311.pyc"),
    "compiled code below": write("code/sub/__pycache__/helper.cpython-311.pyc"),
    "the code touched": touch("code/driver.py", 10**9),
    "empty folders": lambda job: (job / "code/void").mkdir(),
    "a folder below the input": write("in/nested/c.csv"),
}


@pytest.mark.parametrize("change", DOES_NOT_MATTER.values(), ids=DOES_NOT_MATTER)
def test_the_fingerprint_does_not_change_with(change: Callable[[Path], object], job: Path) -> None:
    before = fingerprint(job)
    change(job)
    assert fingerprint(job) == before


def test_an_override_changes_the_fingerprint_as_the_file_would(job: Path) -> None:
    before, overridden = fingerprint(job), fingerprint(job, mini_batch_size="3")
    rewrite("deployment.yml", "size: 2", "size: 3")(job)
    assert before != overridden == fingerprint(job)


def test_a_moved_job_keeps_its_fingerprint(job: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = fingerprint(job)
    assert fingerprint(job.rename(tmp_path_factory.mktemp("moved") / "job")) == before


@given(
    st.lists(st.tuples(st.text(min_size=1), st.integers(0), st.integers()), max_size=4),
    st.lists(st.tuples(st.text(min_size=1), st.integers(0), st.integers()), max_size=4),
)
def test_other_files_have_another_fingerprint(one: list[tuple[str, int, int]], two: list[tuple[str, int, int]]) -> None:
    def made(rows: list[tuple[str, int, int]]) -> str:
        names = [(name.replace("/", "").replace("\0", "") or "x", size, mtime) for name, size, mtime in rows]
        return IDENTITY.fingerprint(tuple(InputFile(*row) for row in names))

    same = [(name.replace("/", "").replace("\0", "") or "x", *rest) for name, *rest in one] == [
        (name.replace("/", "").replace("\0", "") or "x", *rest) for name, *rest in two
    ]
    assert (made(one) == made(two)) is same


def test_content_of_one_file_is_what_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    (tmp_path / "c").write_text("y")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") != content_hash(tmp_path / "c")


def test_content_with_links_pipes_and_circles_ends(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "sub").mkdir(parents=True)
    before = content_hash(folder)
    os.mkfifo(folder / "pipe")
    (folder / "sub/up").symlink_to("..")
    (folder / "sub/self").symlink_to("self")
    (folder / os.fsdecode(b"caf\xe9")).write_text("x")
    after = content_hash(folder)
    assert before != after == content_hash(folder)


def test_content_that_may_not_be_read(ordinary_user: Path) -> None:
    (ordinary_user / "code/sub").mkdir(parents=True)
    secret = ordinary_user / "code/secret.py"
    secret.touch(mode=0)
    with pytest.raises(BatchTwinError, match=r"code/secret\.py: cannot be read: Permission denied"):
        content_hash(ordinary_user / "code")
    secret.unlink()
    (ordinary_user / "code/sub").chmod(0)
    with pytest.raises(BatchTwinError, match="code/sub: cannot be read: Permission denied"):
        content_hash(ordinary_user / "code")


def test_a_plan_is_the_same_in_another_process(job: Path) -> None:
    text = (
        "import sys; from pathlib import Path; from batchtwin.deployment.schema import Deployment;"
        "from batchtwin.inputs.listing import list_inputs; from batchtwin.engine.identity import Identity;"
        "job = Path(sys.argv[1]); deployment = Deployment.load(job / 'deployment.yml');"
        "identity = Identity.of(deployment, job / 'model', job / 'code');"
        "print(identity.fingerprint(list_inputs(job / 'in').files))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", text, job],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert made == [fingerprint(job)] * 2


def calls_for(count: int, folder: Path) -> int:
    """How many functions, of Python and of C, it takes to list and plan so many files."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.csv").write_bytes(b"x")
    calls = 0

    def tally(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event.endswith("call")

    sys.setprofile(tally)
    try:
        plan = Plan.make(list_inputs(folder).files, 7, "f")
    finally:
        sys.setprofile(None)
    assert plan.items == count
    return calls


def test_the_work_grows_with_the_files_and_no_faster(tmp_path: Path) -> None:
    """Counted, not timed, so that a busy machine does not matter."""
    thousand, ten_thousand = calls_for(1_000, tmp_path / "few"), calls_for(10_000, tmp_path / "many")
    assert ten_thousand < 10.5 * thousand
    assert ten_thousand < 50 * 10_000


def test_changes_are_named_by_part() -> None:
    before = Identity(deployment="d", model="m", code="c")
    assert before.changes(before) == []
    assert before.changes(Identity(deployment="x", model="m", code=None)) == ["the deployment", "the code folder"]
    assert before.changes(Identity(deployment="d", model="x", code="c")) == ["the model"]
