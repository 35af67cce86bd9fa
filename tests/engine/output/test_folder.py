"""The output folder and the assembly of segments."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from batchtwin.engine.output.folder import OutputFolder
from batchtwin.errors import OutputError
from batchtwin_node.protocol import Outcome
from support import unprivileged


def outcome(number: int, segment: str, offset: int, data: bytes) -> Outcome:
    return Outcome(
        mini_batch=number,
        attempt=1,
        worker="w",
        segment=segment,
        offset=offset,
        length=len(data),
        crc=zlib.crc32(data),
        rows=1,
        succeeded=1,
        failed=0,
        pid=1,
        started=0,
        seconds=0,
        run_seconds=0,
    )


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    """A job's folder with two segments, the second with a torn tail that nobody reported."""
    made = OutputFolder(tmp_path / "job", "predictions.csv")
    made.make()
    (made.segments / "a").write_bytes(b"one\nthree\n")
    (made.segments / "b").write_bytes(b"two\ntor")
    return made


def test_ranges_are_copied_in_the_order_given(folder: OutputFolder) -> None:
    folder.assemble([outcome(0, "a", 0, b"one\n"), outcome(1, "b", 0, b"two\n"), outcome(2, "a", 4, b"three\n")])
    assert (folder.score / "predictions.csv").read_bytes() == b"one\ntwo\nthree\n"
    folder.tidy()
    assert not folder.segments.exists()


def test_large_ranges_are_copied_whole(folder: OutputFolder) -> None:
    data = bytes(range(256)) * 10_000
    (folder.segments / "c").write_bytes(data)
    folder.assemble([outcome(0, "c", 0, data)])
    assert (folder.score / "predictions.csv").read_bytes() == data


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (outcome(0, "a", 0, b"onE\n"), "changed"),
        (outcome(0, "b", 0, b"two\ntorn off\n"), "bytes 0 to 13 are not what worker w wrote for mini batch 0"),
        (outcome(0, "gone", 0, b"x"), "No such file"),
    ],
)
def test_a_range_that_is_not_what_was_written_is_refused(folder: OutputFolder, claim: Outcome, why: str) -> None:
    with pytest.raises(OutputError, match=why):
        folder.assemble([claim])
    assert list(folder.score.iterdir()) == []
    assert (folder.segments / "a").exists(), "the rows are kept"


def test_without_a_file_name_nothing_is_assembled(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path, None)
    folder.make()
    folder.assemble([outcome(0, "none", 0, b"")])
    assert list(folder.score.iterdir()) == []


def test_clearing_removes_only_what_a_job_makes(folder: OutputFolder) -> None:
    kept = [folder.root / "mine.txt", folder.root / "named-outputs/other"]
    for path in kept:
        path.touch()
    (folder.score / "predictions.csv").touch()
    (folder.root / "failures.jsonl").touch()
    folder.clear()
    folder.make()
    assert all(path.exists() for path in kept)
    assert list(folder.score.iterdir()) == []
    assert not (folder.root / "failures.jsonl").exists()


def test_a_link_in_the_place_of_a_folder_is_removed_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    folder = OutputFolder(tmp_path / "job", "x")
    folder.root.mkdir()
    (folder.root / "logs").symlink_to(elsewhere)
    folder.clear()
    assert (elsewhere / "precious").exists()


def test_folders_that_no_job_made_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    folder = OutputFolder(tmp_path, "x")
    with pytest.raises(OutputError, match="holds logs, which no job made"):
        folder.check(overwrite=False)
    (tmp_path / ".lock").touch()
    folder.check(overwrite=False)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file; --output takes a folder"):
        OutputFolder(tmp_path / "file/below", "x").check(overwrite=False)


def test_a_folder_that_may_not_be_written_is_refused() -> None:
    with unprivileged() as folder:
        folder.chmod(0o500)
        with pytest.raises(OutputError, match="may not be written by this user"):
            OutputFolder(folder / "job", "x").check(overwrite=False)
        folder.chmod(0o700)


def test_a_file_system_that_refuses_is_named() -> None:
    with pytest.raises(OutputError, match=r"/proc/batchtwin.*choose another folder"):
        OutputFolder(Path("/proc/batchtwin"), "x").make()
