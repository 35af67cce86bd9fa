"""Blobs are files that others read and write, whole or not there at all; a large one passes through little memory."""

from __future__ import annotations

import hashlib
import resource
import threading
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobBlock
from blob_services import Twin, connected, twin

MIB = 1 << 20


class Pattern(RawIOBase):
    """So many megabytes that never are in memory at once."""

    def __init__(self, size: int) -> None:
        self.left = size * MIB
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what tells its place."""
        size = min(len(buffer), self.left)
        buffer[:size] = (self.left.to_bytes(8, "big") * (size // 8 + 1))[:size]
        self.hash.update(buffer[:size])
        self.left -= size
        return size


def test_a_blob_is_a_file_of_its_name(ours: Any, twin: Twin) -> None:
    ours.upload_blob("LocalUpload/0/data/é.csv", b"1,2\n")

    assert (twin.root / ours.container_name / "LocalUpload/0/data/é.csv").read_bytes() == b"1,2\n"


def test_a_file_that_others_wrote_is_a_blob(ours: Any, twin: Twin) -> None:
    file = twin.root / ours.container_name / "job/predictions.csv"
    file.parent.mkdir()
    file.write_bytes(b"0,1\n")

    [entry] = ours.list_blobs(include=["metadata"])

    assert (entry.name, entry.size) == ("job/predictions.csv", 4)
    assert ours.download_blob("job/predictions.csv").readall() == b"0,1\n"


def test_metadata_are_those_of_the_content(ours: Any, twin: Twin) -> None:
    blob = ours.upload_blob("a", b"first", metadata={"of": "first"})
    etag = blob.get_blob_properties().etag

    (twin.root / ours.container_name / "a").write_bytes(b"another")

    properties = blob.get_blob_properties()
    assert not properties.metadata
    assert properties.etag != etag


def test_links_within_the_container_are_followed_but_not_in_circles(ours: Any, twin: Twin) -> None:
    ours.upload_blob("job/predictions.csv", b"0,1\n")
    folder = twin.root / ours.container_name
    (folder / "job/circle").symlink_to(folder / "job")
    (folder / "score").symlink_to(folder / "job")

    assert list(ours.list_blob_names()) == ["job/predictions.csv", "score/predictions.csv"]
    assert ours.download_blob("score/predictions.csv").readall() == b"0,1\n"


def test_folders_that_a_deletion_leaves_empty_go_too(ours: Any, twin: Twin) -> None:
    ours.upload_blob("data/deep/a", b"1")

    ours.delete_blob("data/deep/a")

    assert list((twin.root / ours.container_name).iterdir()) == []
    ours.upload_blob("data", b"now a blob")


def test_one_of_many_creates_a_blob(ours: Any) -> None:
    outcomes: list[bool] = []

    def create(number: int) -> None:
        try:
            ours.upload_blob("a", str(number).encode())
        except ResourceExistsError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [False] * 15 + [True]


def test_a_reader_never_sees_half(ours: Any) -> None:
    contents = {bytes([number]) * MIB for number in range(8)}
    ours.upload_blob("a", bytes(MIB))

    def write() -> None:
        for content in sorted(contents):
            ours.upload_blob("a", content, overwrite=True)

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(ours.download_blob("a").readall())
    writer.join()
    assert seen <= contents


def peaks(pid: int, until: threading.Event) -> Iterator[int]:
    """The memory of a process, again and again."""
    process = psutil.Process(pid)
    while not until.wait(0.01):
        yield process.memory_info().rss


def test_200_mb_pass_through_little_memory(tmp_path: Path, record_property: Any) -> None:
    size = 200
    with twin(tmp_path) as service, connected(service) as client:
        client.upload_blob("warm", b"up")
        before = psutil.Process(service.pid).memory_info().rss
        ended, seen = threading.Event(), [before]
        watcher = threading.Thread(target=lambda: seen.extend(peaks(service.pid, ended)))
        watcher.start()
        sent, came = Pattern(size), hashlib.sha256()
        client.upload_blob("large", sent, length=size * MIB)
        for chunk in client.download_blob("large").chunks():
            came.update(chunk)
        ended.set()
        watcher.join()
        record_property("note", f"200 MB up and down: {(max(seen) - before) / MIB:.1f} MB more in the server")

        assert came.hexdigest() == sent.hash.hexdigest()
        assert (service.root / client.container_name / "large").stat().st_size == size * MIB
        assert max(seen) - before < 40 * MIB
        assert not list((service.root / ".blocks" / client.container_name).iterdir())


def test_blocks_that_the_disk_has_no_room_for_are_no_blob(tmp_path: Path) -> None:
    """The limit, as a full disk, takes a part of the last write and says nothing."""
    with twin(tmp_path) as service, connected(service) as client:
        blob = client.get_blob_client("a")
        for name in ("0", "1"):
            blob.stage_block(name, name * 3000)
        blocks = [BlobBlock("0"), BlobBlock("1")]
        usual = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (5000, usual[1]))

        with pytest.raises(HttpResponseError) as refused:
            blob.commit_block_list(blocks)

        assert (refused.value.status_code, refused.value.error_code) == (409, "OutOfSpace")
        assert not blob.exists()
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, usual)
        blob.commit_block_list(blocks)
        assert client.download_blob("a").readall() == b"0" * 3000 + b"1" * 3000
