"""path -> input files in order, with what was left out and why; on real folders."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchtwin.errors import InputError, UnsupportedFileError
from batchtwin.inputs.listing import Inputs, check_supported, list_inputs
from batchtwin_node.readers import ending


def fill(folder: Path, *names: str) -> Path:
    """Write a file of one byte for each name, folders as needed."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return folder


def names(inputs: Inputs) -> list[str]:
    return [file.name for file in inputs.files]


def test_a_folder(tmp_path: Path) -> None:
    inputs = list_inputs(fill(tmp_path, "b.csv", "a.csv"))
    assert (inputs.root, inputs.is_folder, inputs.left_out, inputs.warnings()) == (tmp_path, True, (), [])
    first = inputs.files[0]
    assert (first.path, first.name, first.size) == (str(tmp_path / "a.csv"), "a.csv", 1)
    assert first.mtime_ns == (tmp_path / "a.csv").stat().st_mtime_ns


def test_a_file(tmp_path: Path) -> None:
    inputs = list_inputs(fill(tmp_path, "a.csv") / "a.csv")
    assert (names(inputs), inputs.is_folder, inputs.root) == (["a.csv"], False, tmp_path / "a.csv")


def test_a_hidden_file_named_directly_is_taken(tmp_path: Path) -> None:
    assert names(list_inputs(fill(tmp_path, ".a.csv") / ".a.csv")) == [".a.csv"]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "in/a.csv")
    monkeypatch.chdir(tmp_path)
    for path in ("in", "./in/", "in/../in"):
        assert list_inputs(Path(path)).files[0].path == str(tmp_path / "in/a.csv")


ORDER = {
    "digits before capitals before small letters": ["10", "2", "B", "_", "a"],
    "no numeric sense": ["file1", "file10", "file2"],
    "beyond ASCII by code point": ["Z", "z", "~", "Ä", "é", "ÿ", "Ā", "中", "\uffee", "🙂"],
    "composed and decomposed differ": ["e\u0301", "\u00e9"],
    "punctuation": [" a", "!a", "a", "a\nb", "a b", "a,b", "a.b"],
}


@pytest.mark.parametrize("order", ORDER.values(), ids=ORDER)
def test_order_is_by_code_point(order: list[str], tmp_path: Path) -> None:
    assert names(list_inputs(fill(tmp_path, *reversed(order)))) == order


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20).filter(
            lambda name: not name.startswith(".")
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_name_that_a_file_can_have(tmp_path_factory: pytest.TempPathFactory, wanted: set[str]) -> None:
    assert names(list_inputs(fill(tmp_path_factory.mktemp("in"), *wanted))) == sorted(wanted)


def hidden(path: Path) -> None:
    fill(path.parent, ".odd")


def hidden_folder(path: Path) -> None:
    fill(path.parent, ".odd/a.csv")


def empty(path: Path) -> None:
    path.touch()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


def broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def circular_link(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_empty(path: Path) -> None:
    (path.parent / ".empty").touch()
    path.symlink_to(".empty")


def folder_of_files(path: Path) -> None:
    fill(path, "a.csv", "b/c.csv", "b/d/e.csv")


def link_to_folder(path: Path) -> None:
    path.symlink_to("/")


LEFT_OUT: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "hidden": (hidden, ".odd", "hidden"),
    "hidden folder": (hidden_folder, ".odd", "hidden"),
    "empty": (empty, "odd", "empty"),
    "pipe": (pipe, "odd", "not a regular file"),
    "socket": (unix_socket, "odd", "not a regular file"),
    "link to a device": (device, "odd", "not a regular file"),
    "broken link": (broken_link, "odd", "cannot be read (No such file or directory; a broken link?)"),
    "circular link": (circular_link, "odd", "cannot be read (Too many levels of symbolic links; a broken link?)"),
    "link to an empty file": (link_to_empty, "odd", "empty"),
    "folder": (folder_of_files, "odd/", "nested folders are not explored (odd/, 3 files)"),
    "link to a folder is not followed": (link_to_folder, "odd/", "nested folders are not explored (odd/, 0 files)"),
}


@pytest.mark.parametrize(("make", "name", "why"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_left_out_with_a_warning(make: Callable[[Path], None], name: str, why: str, tmp_path: Path) -> None:
    make(fill(tmp_path, "a.csv") / "odd")
    inputs = list_inputs(tmp_path)
    assert names(inputs) == ["a.csv"]
    assert (name, why) in {(entry.name, entry.why) for entry in inputs.left_out}
    assert f"left out {name!r}: {why}" in inputs.warnings()


@pytest.mark.parametrize("make", [empty, pipe, device, broken_link, circular_link], ids=lambda make: make.__name__)
def test_refused_when_named_directly(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "odd")
    with pytest.raises(InputError, match=f"^{tmp_path}/odd: "):
        list_inputs(tmp_path / "odd")


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    fill(tmp_path, "elsewhere/a.csv")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.csv").symlink_to("../elsewhere/a.csv")
    (file,) = list_inputs(tmp_path / "in").files
    assert (file.path, file.size) == (str(tmp_path / "in/link.csv"), 1)
    assert list_inputs(tmp_path / "in/link.csv").files == (file,)


def test_a_link_to_the_folder_is_followed(tmp_path: Path) -> None:
    fill(tmp_path, "in/a.csv")
    (tmp_path / "link").symlink_to("in")
    assert list_inputs(tmp_path / "link").files[0].path == str(tmp_path / "link/a.csv")


def test_one_warning_per_reason(tmp_path: Path) -> None:
    fill(tmp_path, "a.csv", ".b", ".a", "q/1", "p/2", "p/3")
    (tmp_path / "void").touch()
    assert list_inputs(tmp_path).warnings() == [
        "left out 'void': empty",
        "left out 2 entries ('.a' and others): hidden",
        "left out 'p/': nested folders are not explored (p/ and 1 more, 3 files)",
    ]


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        list_inputs(tmp_path)
    assert str(caught.value) == f"{tmp_path}: holds no file to score. Put the files directly into this folder"


def test_a_folder_of_folders_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        list_inputs(fill(tmp_path, "january/a.csv", ".hidden"))
    assert str(caught.value) == (
        f"{tmp_path}: holds no file to score; left out '.hidden': hidden; left out 'january/': nested folders are "
        "not explored (january/, 1 files). Put the files directly into this folder"
    )


MISSING = {
    "missing": ("nowhere", "no such file or folder; --input takes a folder of files, or one file"),
    "below a file": ("a.csv/b.csv", "cannot be read: Not a directory"),
    "name too long": ("a" * 300, "cannot be read: File name too long"),
}


@pytest.mark.parametrize(("name", "said"), MISSING.values(), ids=MISSING)
def test_a_path_that_is_not_there(name: str, said: str, tmp_path: Path) -> None:
    path = fill(tmp_path, "a.csv") / name
    with pytest.raises(InputError) as caught:
        list_inputs(path)
    assert str(caught.value) == f"{path}: {said}"


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("x")
    with pytest.raises(InputError, match=r"caf\\udce9\.csv': the name is not valid UTF-8; rename the file") as caught:
        list_inputs(tmp_path)
    assert str(caught.value).isprintable()


def test_a_hidden_or_empty_file_may_have_any_name(tmp_path: Path) -> None:
    fill(tmp_path, "a.csv", os.fsdecode(b".caf\xe9"))
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()
    inputs = list_inputs(tmp_path)
    assert names(inputs) == ["a.csv"]
    assert all(warning.isprintable() for warning in inputs.warnings())


def test_a_file_that_may_not_be_read(ordinary_user: Path) -> None:
    fill(ordinary_user, "a.csv", "b.csv")
    (ordinary_user / "b.csv").chmod(0)
    reason = "may not be read by this user; allow it with chmod"
    with pytest.raises(InputError, match=f"b.csv': {reason}"):
        list_inputs(ordinary_user)
    with pytest.raises(InputError, match=f"b.csv: {reason}"):
        list_inputs(ordinary_user / "b.csv")


def test_a_folder_that_may_not_be_read(ordinary_user: Path) -> None:
    folder = fill(ordinary_user / "in", "a.csv")
    folder.chmod(0)
    with pytest.raises(InputError, match="in: cannot be read: Permission denied"):
        list_inputs(folder)
    with pytest.raises(InputError, match=r"in/a\.csv: cannot be read: Permission denied"):
        list_inputs(folder / "a.csv")
    folder.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", ".csv"), ("A.CSV", ".csv"), ("a.tar.gz", ".gz"), ("a", ""), (".csv", ""), ("a.", "."), ("a.b/c", "")],
)
def test_ending(name: str, expected: str) -> None:
    assert ending(name) == expected


def test_supported_endings_in_any_case(tmp_path: Path) -> None:
    check_supported(list_inputs(fill(tmp_path, "a.csv", "b.CSV")).files, [".csv"])


@pytest.mark.parametrize(
    ("files", "end"),
    [
        (["b.txt"], ""),
        (["b.txt", "c.txt", "d"], " (2 more like it.)"),
    ],
)
def test_the_first_unsupported_file_is_named(files: list[str], end: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFileError) as caught:
        check_supported(list_inputs(fill(tmp_path, "a.csv", *files)).files, [".csv", ".png"])
    assert str(caught.value) == (
        f"ERROR:azureml:Error processing input file: '{tmp_path / 'b.txt'}'. File type '.txt' is not supported. "
        "Supported are .csv, .png: move the file out of the input folder, or write a scoring script that reads it."
        + end
    )
