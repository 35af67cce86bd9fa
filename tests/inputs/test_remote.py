"""Paths that are URLs: what is one, what of it is shown, and how a store is listed (fsspec's own, in memory)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from batchtwin.errors import InputError, UsageError
from batchtwin.inputs.listing import InputFile, list_inputs
from batchtwin.inputs.location import is_url, parse_location, redact, without_query
from batchtwin.inputs.remote import RemoteError, RemoteStore, changed_files, list_remote, name_of, version_of
from batchtwin.inputs.remote_folder import fetch_folder
from batchtwin_node.readers import ending


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty store of this process."""
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server that shows the files of `tmp_path`."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("text", "is_one"), [("s3://a/b", True), ("https://a", True), ("/a//b", False), ("a:b", False), ("C:/a", False)]
)
def test_what_is_a_url(text: str, is_one: bool) -> None:
    assert is_url(text) == is_one
    assert parse_location(text) == (text if is_one else Path(text))


@pytest.mark.parametrize(
    "url",
    [
        "https://a.blob.core.windows.net/b/c.csv?sv=2024&SIG=secret",
        "https://a/b?X-Amz-Signature=secret",
        "s3://me:secret@a/b",
        "s3://me:with/secret@a/b",
        "https://secret@a/b",
        "https://a/b?code=secret",
        "https://a/b?subscription-key=secret",
        "abfs://a/b?access_token=secret",
    ],
)
def test_a_url_with_a_key_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="holds a key") as caught:
        parse_location(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["azureml:heart:1", "azureml://datastores/blobs/paths/x", "/subscriptions/s/x"])
def test_a_reference_of_azure_ml_is_no_path(text: str) -> None:
    with pytest.raises(UsageError, match="names a resource of Azure ML"):
        parse_location(text)


def test_what_is_shown_of_a_url() -> None:
    assert redact("GET https://a/b?key=1 failed") == "GET https://a/b?... failed"
    assert redact("abfs://container@account.dfs.core.windows.net/a?b") == (
        "abfs://container@account.dfs.core.windows.net/a?b"
    )


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("https://a/b/c.csv?x=1.txt", "c.csv", ".csv"),
        ("s3://a/what?.csv", "what?.csv", ".csv"),
        ("/a/what?.csv", "what?.csv", ".csv"),
    ],
)
def test_names(path: str, name: str, kind: str) -> None:
    assert InputFile(path, 1, 1).name == name
    assert name_of(path) == name
    assert ending(InputFile(path, 1, 1).name) == kind
    assert without_query(path).endswith(name)


@pytest.mark.parametrize("path", ["s3://a/..", "s3://a/.", "", "s3://a/b\0c"])
def test_a_name_that_leads_elsewhere_is_none(path: str) -> None:
    with pytest.raises(RemoteError, match="cannot be the name of a file"):
        name_of(path)


def test_a_folder_is_listed_by_the_rules_for_folders_here(memory: Any) -> None:
    for name in ("b.csv", "a.csv", "ä.csv", ".hidden", "sub/c.csv"):
        memory.pipe_file(f"/in/{name}", b"1")
    memory.pipe_file("/in/empty.csv", b"")
    inputs = list_inputs("memory://in")
    assert [file.path for file in inputs.files] == ["memory://in/a.csv", "memory://in/b.csv", "memory://in/ä.csv"]
    assert [file.size for file in inputs.files] == [1, 1, 1]
    assert {entry.name for entry in inputs.left_out} == {".hidden", "empty.csv", "sub/"}
    assert inputs.is_folder
    assert list_inputs("memory://in/") == list_inputs("memory://in/")


def test_one_file_and_none(memory: Any) -> None:
    memory.pipe_file("/in/a.csv", b"1")
    memory.pipe_file("/other/sub/a.csv", b"1")
    assert [file.path for file in list_remote("memory://in/a.csv").files] == ["memory://in/a.csv"]
    with pytest.raises(RemoteError, match="memory://nothing: there is no such file or folder"):
        list_remote("memory://nothing")
    with pytest.raises(InputError, match="memory://other: holds no file to score; left out 'sub/': nested"):
        list_remote("memory://other")


def test_what_has_changed_is_named(memory: Any) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        memory.pipe_file(f"/in/{name}", b"1")
    inputs = list_remote("memory://in")
    assert list(changed_files(inputs)) == []
    memory.pipe_file("/in/a.csv", b"12")
    memory.pipe_file("/in/b.csv", b"2")
    memory.rm_file("/in/c.csv")
    assert [change.text for change in changed_files(inputs)] == [
        "input memory://in/a.csv has 2 bytes, 1 when the job began",
        "input memory://in/b.csv was written since the job began",
        "input memory://in/c.csv: there is no such file any more",
    ]


def test_the_surest_version_counts() -> None:
    assert version_of({"ETag": "1", "LastModified": "x"}) == version_of({"ETag": "1", "LastModified": "y"})
    assert version_of({"ETag": "1"}) != version_of({"ETag": "2"})
    assert version_of({}) == 0


def test_a_folder_is_copied_once_for_each_version(memory: Any, tmp_path: Path) -> None:
    memory.pipe_file("/models/foo/MLmodel", b"1")
    memory.pipe_file("/models/foo/sub/weights", b"2")
    first = fetch_folder("memory://models/foo", tmp_path / "cache")
    assert first.name == "foo"
    assert (first / "sub/weights").read_bytes() == b"2"
    assert fetch_folder("memory://models/foo", tmp_path / "cache") == first
    memory.pipe_file("/models/foo/MLmodel", b"3")
    second = fetch_folder("memory://models/foo", tmp_path / "cache")
    assert (second / "MLmodel").read_bytes() == b"3"
    assert (first / "MLmodel").read_bytes() == b"1"
    assert len(list((tmp_path / "cache").iterdir())) == 2, "nothing half made is left"


def test_one_file_is_copied_too(memory: Any, tmp_path: Path) -> None:
    memory.pipe_file("/models/one.bin", b"1")
    assert fetch_folder("memory://models/one.bin", tmp_path / "cache").read_bytes() == b"1"


def test_the_web_has_no_folders(web: str, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="the web has no folders"):
        fetch_folder(f"{web}/", tmp_path / "cache")


def test_what_leads_out_of_a_folder_is_not_written(memory: Any, tmp_path: Path) -> None:
    memory.store["/models/foo/../../../evil"] = memory.store.setdefault("/models/foo/a", None)
    memory.pipe_file("/models/foo/a", b"1")
    memory.store["/models/foo/../../../evil"] = memory.store["/models/foo/a"]
    with pytest.raises(RemoteError, match="leads out of it"):
        fetch_folder("memory://models/foo", tmp_path / "cache")
    assert list(tmp_path.rglob("*evil*")) == []


def test_a_file_of_the_web(web: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    [file] = list_inputs(f"{web}/a.csv").files
    assert (file.name, file.size) == ("a.csv", 4)
    assert file.mtime_ns, "its Last-Modified"
    RemoteStore(file.path).fetch(tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "x\n1\n"
    with pytest.raises(RemoteError, match="there is no such file"):
        list_inputs(f"{web}/b.csv")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "file:// is no store that can be read"),
        ("s3://a::file:///etc", "'::' puts one store into another"),
    ],
)
def test_what_is_no_store(url: str, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        RemoteStore(url)
