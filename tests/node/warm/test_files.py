"""What a file is known by: a change that leaves size and time as they were, and links that change nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtwin_node.warm.files import MOST_BYTES, Files
from support import wait_for


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder/file"
    path.parent.mkdir()
    path.write_bytes(b"old " * 10)
    return path


def wait_for_tick(path: Path) -> None:
    """Wait until the clock of the file system has moved on since a file was changed."""
    before, other = path.stat().st_ctime_ns, path.parent.parent / "clock"
    wait_for(lambda: other.write_text("") == 0 and other.stat().st_ctime_ns > before)


def write_in_place(path: Path, data: bytes = b"new " * 10, at: int = 0) -> None:
    """As `cp -p` and `rsync --inplace --times` do, from a file of the same size and time."""
    wait_for_tick(path)
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)


def link(path: Path) -> None:
    os.link(path, path.parent.parent / "link")


def link_and_unlink(path: Path) -> None:
    wait_for_tick(path)
    link(path)
    (path.parent.parent / "link").unlink()


def replace(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.write_bytes(b"old " * 10)


def touch(path: Path) -> None:
    wait_for_tick(path)
    os.utime(path)


def change_mode(path: Path) -> None:
    wait_for_tick(path)
    path.chmod(0o600)


def read(path: Path) -> None:
    path.read_bytes()


def remove(path: Path) -> None:
    path.unlink()


# A change; whether it is one of a file, and of one whose content is compared.
CHANGES: list[tuple[Callable[[Path], None], bool, bool]] = [
    (write_in_place, True, True),
    (replace, True, True),
    (touch, True, True),
    (remove, True, True),
    (link, False, False),
    (link_and_unlink, True, False),
    (change_mode, True, False),
    (read, False, False),
]
NAMES = ["written in place", "replaced", "touched", "removed", "linked", "linked and unlinked", "mode", "read"]


@pytest.mark.parametrize("is_compared", [False, True], ids=["file", "compared"])
@pytest.mark.parametrize(("change", "of_file", "of_compared"), CHANGES, ids=NAMES)
def test_changes(
    file: Path, change: Callable[[Path], None], of_file: bool, of_compared: bool, is_compared: bool
) -> None:
    files = Files([str(file)], compared=[str(file)] if is_compared else [])
    assert files.changed() == ""
    change(file)
    expected = str(file) if (of_compared if is_compared else of_file) else ""
    assert files.changed() == expected
    assert files.changed() == expected


def test_a_change_after_a_link_is_a_change(file: Path) -> None:
    for compared in ([], [str(file)]):
        files = Files([str(file)], compared)
        link(file)
        assert files.changed() == ""
        write_in_place(file, os.urandom(40))
        assert files.changed() == str(file)
        (file.parent.parent / "link").unlink()


def test_a_file_that_is_compared_is_known_under_all_its_names(file: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(file.parent)
    other = tmp_path / "alias/file"
    files = Files([str(other)], compared=[str(file)])
    link_and_unlink(file)
    assert files.changed() == ""


def test_a_folder_that_gets_its_time_back_has_changed(file: Path) -> None:
    folder = file.parent
    files = Files([str(folder)])
    wait_for_tick(folder)
    before = folder.stat()
    (folder / "new").write_text("")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files.changed() == str(folder)


def test_a_file_that_was_not_there_has_to_stay_away(file: Path) -> None:
    path = file.with_name("missing")
    files = Files([str(path)])
    assert files.changed() == ""
    path.write_text("")
    assert files.changed() == str(path)


@pytest.mark.parametrize("at", [0, 1, MOST_BYTES // 2 + 7, MOST_BYTES - 1])
def test_all_of_a_model_is_compared(file: Path, at: int) -> None:
    os.truncate(file, MOST_BYTES)
    files = Files([], compared=[str(file)])
    write_in_place(file, b"!", at)
    assert files.changed() == str(file)


def test_of_a_large_model_equal_parts_are_compared(tmp_path: Path) -> None:
    """Its small files wholly; head, end, and any change that is as long as the distance of two pieces."""
    small, large = tmp_path / "small", tmp_path / "large"
    size = 4 * MOST_BYTES
    for path, length in ((small, 1 << 19), (large, size)):
        path.touch()
        os.truncate(path, length)
    both = [str(small), str(large)]
    for path, at, count in ((small, 300_001, 1), (large, 0, 1), (large, size - 1, 1), (large, size // 3, 1 << 18)):
        files = Files([], compared=both)
        write_in_place(path, b"!" * count, at)
        assert files.changed() == str(path)
        write_in_place(path, b"\0" * count, at)


def test_nothing_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert Files([], compared=[str(tmp_path / "pipe")]).changed() == ""


def test_what_changed_meanwhile_is_told(file: Path) -> None:
    moment = file.stat().st_ctime_ns
    write_in_place(file)
    assert Files([str(file)]).changed_since(moment) == str(file)
    assert Files([str(file)]).changed_since(file.stat().st_ctime_ns) == ""
    link(file)  # which the job itself does
    assert Files([], compared=[str(file)]).changed_since(moment) == ""
