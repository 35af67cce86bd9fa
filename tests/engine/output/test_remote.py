"""The place of a result in a store (fsspec's own, in memory): what is refused, what goes, and where a job works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.output.remote import RemoteOutput, work_folder
from batchtwin.errors import OutputError

URL = "memory://out/1"


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty store of this process."""
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


@pytest.fixture
def output(tmp_path: Path) -> OutputFolder:
    """A complete result."""
    output = OutputFolder(tmp_path / "job", "predictions.csv")
    output.make()
    (output.score / "predictions.csv").write_text("0,1,a.csv\n")
    (output.root / "logs/user").mkdir(parents=True)
    (output.root / "logs/user/a.txt").write_text("said")
    output.manifest.write_text("{}")
    return output


def test_a_result_is_there_with_its_folders(memory: Any, output: OutputFolder) -> None:
    RemoteOutput(URL).publish(output)
    assert sorted(memory.find("/out/1")) == [
        "/out/1/logs/user/a.txt",
        "/out/1/manifest.json",
        "/out/1/named-outputs/score/predictions.csv",
    ]
    assert not (output.segments / "any").exists()


def test_nothing_of_an_earlier_result_is_left(memory: Any, output: OutputFolder) -> None:
    for name in ("failures.jsonl", "named-outputs/score/old.csv", "logs/old.txt", "manifest.json", "mine.txt"):
        memory.pipe_file(f"/out/1/{name}", b"old")
    RemoteOutput(URL).publish(output)
    assert {path for path in memory.find("/out/1") if memory.cat_file(path) == b"old"} == {"/out/1/mine.txt"}


@pytest.mark.parametrize("name", ["manifest.json", "named-outputs/score/predictions.csv", "logs", "failures.jsonl"])
def test_a_place_that_is_taken(memory: Any, name: str) -> None:
    memory.pipe_file(f"/out/1/{name}/mine.txt" if name == "logs" else f"/out/1/{name}", b"old")
    with pytest.raises(OutputError, match=f"{URL}: holds {name} already; give --overwrite"):
        RemoteOutput(URL).check("predictions.csv", overwrite=False)
    RemoteOutput(URL).check("predictions.csv", overwrite=True)


def test_a_name_is_no_pattern(memory: Any, output: OutputFolder) -> None:
    memory.pipe_file("/out1/logs/mine.txt", b"mine")
    for _ in range(2):
        RemoteOutput("memory://out[1]").publish(output)
    assert memory.cat_file("/out1/logs/mine.txt") == b"mine"


def test_the_web_takes_no_files() -> None:
    with pytest.raises(OutputError, match="the web takes no files"):
        RemoteOutput("https://example.org/out")


def test_where_a_job_works() -> None:
    assert work_folder(Path("/a/b")) == Path("/a/b")
    folder = work_folder("s3://bucket/runs/1")
    assert folder == work_folder("s3://bucket/runs/1/")
    assert folder.parent == Path("outputs")
    assert folder.name.startswith("s3-bucket-runs-1-")
    assert len({folder, work_folder("s3://bucket/runs-1"), work_folder("s3://bucket/runs/2")}) == 3
