"""What the real client does comes out alike on our service and on Microsoft's emulator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, ContentSettings
from blob_services import Served, connected

NAMES = ["a.csv", "data/0.csv", "data/1.csv", "data-more/0.csv", "data/deep/er/x.csv", "é ü%25+&#'<.txt", "z"]
MIB = 1 << 20


def read(client: Any, name: str, **options: Any) -> bytes:
    """Download a blob, or a part of it."""
    content: bytes = client.download_blob(name, **options).readall()
    return content


def md5(content: bytes) -> bytes:
    """The checksum that the service keeps."""
    return hashlib.md5(content, usedforsecurity=False).digest()


def test_a_blob_comes_back_as_it_was_sent(client: Any) -> None:
    sent = client.upload_blob("data/0.csv", b"1,2\n", metadata={"upload_status": "completed", "name": "heart"})

    properties = client.get_blob_client("data/0.csv").get_blob_properties()

    assert read(client, "data/0.csv") == b"1,2\n"
    assert properties.metadata == {"upload_status": "completed", "name": "heart"}
    assert (properties.size, properties.blob_type) == (4, "BlockBlob")
    assert properties.content_settings.content_md5 == md5(b"1,2\n")
    assert sent.get_blob_properties().etag == properties.etag


def test_content_settings_come_back(client: Any) -> None:
    names = ("content_type", "content_encoding", "content_language", "content_disposition", "cache_control")
    values = ("text/csv", "identity", "de", "inline", "no-store")
    settings = dict(zip(names, values, strict=True))

    client.upload_blob("a", b"1", content_settings=ContentSettings(**settings))

    content_settings = client.get_blob_client("a").get_blob_properties().content_settings
    assert {name: content_settings[name] for name in names} == settings


def test_an_empty_blob(client: Any) -> None:
    client.upload_blob("empty", b"")

    assert read(client, "empty") == b""
    assert client.get_blob_client("empty").get_blob_properties().size == 0


def test_a_large_blob_goes_and_comes_in_parts(service: Served) -> None:
    content = hashlib.shake_256(b"seed").digest(9 * MIB + 1)
    sizes = {"max_single_put_size": MIB, "max_block_size": MIB, "max_single_get_size": MIB, "max_chunk_get_size": MIB}
    with connected(service, None, **sizes) as client:
        client.upload_blob("large", content, max_concurrency=4, metadata={"upload_status": "completed"})

        assert client.download_blob("large", max_concurrency=4).readall() == content
        assert client.get_blob_client("large").get_blob_properties().metadata == {"upload_status": "completed"}


def test_blocks_are_the_blob_in_the_order_of_the_list(client: Any) -> None:
    blob = client.get_blob_client("blocks")
    for name, content in (("0", b"one "), ("1", b"two "), ("2", b"never")):
        blob.stage_block(name, content)

    blob.commit_block_list([BlobBlock("1"), BlobBlock("0")], content_settings=ContentSettings(content_type="text/csv"))

    assert read(client, "blocks") == b"two one "
    assert blob.get_blob_properties().content_settings.content_type == "text/csv"


def test_blocks_alone_are_no_blob(client: Any) -> None:
    client.get_blob_client("blocks").stage_block("0", b"one ")

    assert not client.get_blob_client("blocks").exists()
    assert list(client.list_blob_names()) == []


def test_a_block_that_was_not_uploaded(client: Any) -> None:
    with pytest.raises(HttpResponseError) as refused:
        client.get_blob_client("blocks").commit_block_list([BlobBlock("0")])

    assert (refused.value.status_code, refused.value.error_code) == (400, "InvalidBlockList")


@pytest.mark.parametrize(("offset", "length", "expected"), [(0, 4, b"0123"), (3, None, b"3456789"), (8, 100, b"89")])
def test_a_part_of_a_blob(client: Any, offset: int, length: int | None, expected: bytes) -> None:
    client.upload_blob("digits", b"0123456789")

    assert read(client, "digits", offset=offset, length=length) == expected


def test_a_blob_is_replaced_only_if_asked(client: Any) -> None:
    client.upload_blob("a", b"first", metadata={"was": "first"})

    with pytest.raises(ResourceExistsError) as refused:
        client.upload_blob("a", b"second")
    assert refused.value.error_code == "BlobAlreadyExists"
    assert read(client, "a") == b"first"

    client.upload_blob("a", b"third", overwrite=True)
    assert read(client, "a") == b"third"
    assert client.get_blob_client("a").get_blob_properties().metadata == {}


def test_what_another_changed_is_not_overwritten(client: Any) -> None:
    blob = client.upload_blob("a", b"first")
    seen = blob.get_blob_properties().etag
    blob.upload_blob(b"second", overwrite=True)

    condition = {"etag": seen, "match_condition": MatchConditions.IfNotModified}
    changes: list[Callable[[], Any]] = [
        lambda: blob.upload_blob(b"third", overwrite=True, **condition),
        lambda: blob.delete_blob(**condition),
    ]
    for change in changes:
        with pytest.raises(ResourceModifiedError) as refused:
            change()
        assert refused.value.status_code == 412
    assert read(client, "a") == b"second"

    now = {"etag": blob.get_blob_properties().etag, "match_condition": MatchConditions.IfNotModified}
    blob.upload_blob(b"third", overwrite=True, **now)
    assert read(client, "a") == b"third"


def test_what_was_not_changed_is_not_sent_again(client: Any) -> None:
    blob = client.upload_blob("a", b"first")
    unchanged = {"etag": blob.get_blob_properties().etag, "match_condition": MatchConditions.IfModified}

    with pytest.raises(HttpResponseError) as refused:
        read(client, "a", **unchanged)

    assert refused.value.status_code == 304


def test_metadata_are_changed_alone(client: Any) -> None:
    settings = ContentSettings(content_type="text/csv")
    blob = client.upload_blob("a", b"first", metadata={"old": "1"}, content_settings=settings)
    before = blob.get_blob_properties()

    answer = blob.set_blob_metadata({"name": "heart", "version": "1"})

    after = blob.get_blob_properties()
    assert after.metadata == {"name": "heart", "version": "1"}
    assert after.etag == answer["etag"] != before.etag
    assert after.content_settings.content_type == "text/csv"
    assert read(client, "a") == b"first"


def test_what_is_not_there(client: Any) -> None:
    blob = client.get_blob_client("none")

    assert not blob.exists()
    assert not client.get_blob_client("none/").exists()
    for ask in (blob.get_blob_properties, blob.delete_blob, blob.download_blob, lambda: blob.set_blob_metadata({})):
        with pytest.raises(ResourceNotFoundError) as refused:
            ask()
        assert refused.value.error_code == "BlobNotFound"


def test_a_deleted_blob_is_gone(client: Any) -> None:
    client.upload_blob("data/deep/a", b"1")
    client.upload_blob("data/b", b"2")

    client.delete_blob("data/deep/a")

    assert list(client.list_blob_names()) == ["data/b"]


def test_names_are_listed_in_order_and_come_back(client: Any) -> None:
    for name in reversed(NAMES):
        client.upload_blob(name, name.encode())

    assert list(client.list_blob_names()) == sorted(NAMES)
    assert [read(client, name) for name in NAMES] == [name.encode() for name in NAMES]


def test_a_prefix_is_text_and_no_folder(client: Any) -> None:
    for name in NAMES:
        client.upload_blob(name, b"")

    expected = {
        prefix: [name for name in sorted(NAMES) if name.startswith(prefix)] for prefix in ("data", "data/", "da", "x")
    }
    assert {prefix: list(client.list_blob_names(name_starts_with=prefix)) for prefix in expected} == expected


@pytest.mark.parametrize(
    ("prefix", "delimiter", "expected"),
    [
        ("", "/", ["a.csv", "data-more/", "data/", "z", "é ü%25+&#'<.txt"]),
        ("data/", "/", ["data/0.csv", "data/1.csv", "data/deep/"]),
        ("data", "/", ["data-more/", "data/"]),
        ("data/deep", "/", ["data/deep/"]),
        ("", "a", ["a", "da", "z", "é ü%25+&#'<.txt"]),
    ],
)
def test_a_delimiter_makes_folders_of_names(client: Any, prefix: str, delimiter: str, expected: list[str]) -> None:
    for name in NAMES:
        client.upload_blob(name, b"")

    names = [entry.name for entry in client.walk_blobs(name_starts_with=prefix, delimiter=delimiter)]

    assert sorted(names) == expected


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_list_comes_in_pages(client: Any, size: int, delimiter: str) -> None:
    names = [f"{folder}/{number}" for folder in ("a", "b", "c") for number in range(3)] + ["b.txt", "d"]
    for name in names:
        client.upload_blob(name, b"")

    entries = (
        client.walk_blobs(delimiter="/", results_per_page=size)
        if delimiter
        else client.list_blobs(results_per_page=size)
    )
    pages = [[entry.name for entry in page] for page in entries.by_page()]

    expected = ["a/", "b/", "b.txt", "c/", "d"] if delimiter else names
    assert sorted(name for page in pages for name in page) == sorted(expected)
    assert all(len(page) <= size for page in pages)


def test_a_list_says_what_the_blobs_are(client: Any) -> None:
    sent = client.upload_blob(
        "a", b"1,2\n", metadata={"name": "<h&eart>"}, content_settings=ContentSettings("text/csv")
    )
    seen = sent.get_blob_properties()

    [without] = client.list_blobs()
    [entry] = client.list_blobs(include=["metadata"])

    assert not without.metadata
    assert entry.metadata == {"name": "<h&eart>"}
    assert (entry.size, entry.etag.strip('"'), entry.last_modified) == (4, seen.etag.strip('"'), seen.last_modified)
    assert (entry.content_settings.content_type, entry.content_settings.content_md5) == ("text/csv", md5(b"1,2\n"))


@pytest.mark.parametrize("header", ["Content-MD5", "x-ms-blob-content-md5"])
def test_bytes_that_were_changed_on_the_way(client: Any, header: str) -> None:
    with pytest.raises(HttpResponseError) as refused:
        client.upload_blob("a", b"first", headers={header: "1B2M2Y8AsgTpgAmY7PhCfg=="})

    assert (refused.value.status_code, refused.value.error_code) == (400, "Md5Mismatch")
    assert not client.get_blob_client("a").exists()


def test_content_is_checked_both_ways(client: Any) -> None:
    client.upload_blob("a", b"0123456789", validate_content=True)

    assert read(client, "a", validate_content=True) == b"0123456789"
    assert read(client, "a", offset=2, length=3, validate_content=True) == b"234"


def test_a_container_that_is_not_there(service: Served) -> None:
    with connected(service, "none-such") as client:
        for ask in (lambda: list(client.list_blobs()), lambda: client.upload_blob("a", b"")):
            with pytest.raises(ResourceNotFoundError) as refused:
                ask()
            assert refused.value.error_code == "ContainerNotFound"
