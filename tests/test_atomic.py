"""Files that are there whole or not at all, and locks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchtwin import atomic
from batchtwin.errors import OutputError
from batchtwin.locks import acquire, hold, hold_folder, is_held


def test_what_is_written_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    atomic.write_text(path, ["new", " Ω"])
    assert (path.read_text(encoding="utf-8"), os.listdir(tmp_path)) == ("new Ω", ["file"])


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127, "\N{GRINNING FACE}" * 63])
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path, name: str) -> None:
    atomic.write_text(tmp_path / name, "new")
    assert os.listdir(tmp_path) == [name]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyError), atomic.replacing(path) as stream:
        stream.write(b"half")
        raise KeyError
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["file"])


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("old")
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    atomic.write_bytes(tmp_path / "file", b"new")
    assert ((tmp_path / "elsewhere").read_text(), (tmp_path / "file").read_text()) == ("old", "new")


def test_rights_are_as_given_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        atomic.write_text(tmp_path / "open", "", mode=0o644)
        atomic.write_text(tmp_path / "closed", "")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "closed")] == [0o644, 0o600]


def test_an_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=rf"{tmp_path}/folder'$"):
        atomic.write_text(tmp_path / "folder", "")


def test_nothing_is_written_outside_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for path in (tmp_path / "file", tmp_path / "root/../file"):
        with pytest.raises(OSError, match="is not below"):
            atomic.write_text(path, "", root=tmp_path / "root")


def test_a_lock_is_one_holders(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert is_held(path) is None
    with hold(path):
        assert is_held(path) is True
        with pytest.raises(BlockingIOError):
            acquire(path, wait=False)
    assert is_held(path) is False


def test_a_folder_names_its_holder(tmp_path: Path) -> None:
    with hold_folder(tmp_path, OutputError), pytest.raises(OutputError, match=f"^{os.getpid()}$"):
        with hold_folder(tmp_path, OutputError):
            pass
