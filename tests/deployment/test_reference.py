"""The one parser of references, form by form."""

from __future__ import annotations

import pytest

from batchtwin.deployment.reference import (
    AssetReference,
    DatastorePath,
    InvalidReferenceError,
    JobOutputPath,
    Reference,
    datastore_path,
    is_reference,
    parse_reference,
)

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
SHORT_WORKSPACE = "subscriptions/s/resourcegroups/g/workspaces/w"
LONG_WORKSPACE = WORKSPACE.removeprefix("/")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("azureml:heart", AssetReference("heart")),
        ("azureml:heart:3", AssetReference("heart", "3")),
        ("azureml:heart_1.x-y:2024-01-01", AssetReference("heart_1.x-y", "2024-01-01")),
        ("azureml:heart@latest", AssetReference("heart", label="latest")),
        (f"{WORKSPACE}/models/heart/versions/3", AssetReference("heart", "3", kind="model")),
        (f"azureml:{WORKSPACE}/models/heart/versions/3", AssetReference("heart", "3", kind="model")),
        (f"azureml:{WORKSPACE}/codes/c/versions/1", AssetReference("c", "1", kind="code")),
        (f"{WORKSPACE.lower()}/data/d/labels/latest", AssetReference("d", label="latest", kind="data")),
        (f"{WORKSPACE}/data/d/versions/labels/latest", AssetReference("d", label="latest", kind="data")),
        (f"{WORKSPACE}/computes/cluster", AssetReference("cluster", kind="compute")),
        (f"{WORKSPACE}/components/c/versions/1", AssetReference("c", "1", kind="components")),
        (f"azureml://{SHORT_WORKSPACE}/data/d/versions/1", AssetReference("d", "1", kind="data")),
        (f"azureml://{LONG_WORKSPACE}/data/d/versions/1", AssetReference("d", "1", kind="data")),
        ("azureml://locations/l/workspaces/w/data/d/versions/1", AssetReference("d", "1", kind="data")),
        (
            "azureml://registries/r/environments/e/labels/latest",
            AssetReference("e", label="latest", kind="environment", registry="r"),
        ),
        (f"azureml:{WORKSPACE}/data/datastores/versions/1", AssetReference("datastores", "1", kind="data")),
    ],
)
def test_an_asset(text: str, expected: Reference) -> None:
    assert is_reference(text)
    assert parse_reference(text) == expected
    assert datastore_path(text) is None


@pytest.mark.parametrize(
    "start",
    [
        "azureml://datastores/blobs",
        f"azureml://{SHORT_WORKSPACE}/datastores/blobs",
        f"azureml:///{SHORT_WORKSPACE}/datastores/blobs",
        f"azureml://{LONG_WORKSPACE}/datastores/blobs",
        f"azureml:{WORKSPACE}/datastores/blobs",
        f"{WORKSPACE}/datastores/blobs",
        f"{WORKSPACE.removeprefix('/')}/datastores/blobs",
        f"/{WORKSPACE}/datastores/blobs",
        "AzureML://datastores/blobs",
        "AZUREML://Datastores/blobs",
    ],
)
@pytest.mark.parametrize(
    ("end", "path"),
    [
        ("", ""),
        ("/", ""),
        ("/paths", ""),
        ("/paths/", ""),
        ("/paths/.", ""),
        ("/paths/a", "a"),
        ("/paths/a/b c.csv", "a/b c.csv"),
        ("/paths/a%20b/", "a b"),
        ("/paths/datastores/x/paths/y", "datastores/x/paths/y"),
        ("/paths/data/d/labels/latest", "data/d/labels/latest"),
    ],
)
def test_a_path_in_a_datastore(start: str, end: str, path: str) -> None:
    assert is_reference(start + end)
    assert parse_reference(start + end) == datastore_path(start + end) == DatastorePath("blobs", path)


def test_an_output_of_a_job() -> None:
    text = "azureml://jobs/j/outputs/artifacts/paths/model/"
    assert parse_reference(text) == JobOutputPath("j", "artifacts", "model")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "heart",
        "heart:3",
        "azureml:",
        "azureml:heart:",
        "azureml:heart@",
        "azureml::1",
        "azureml:a b:1",
        "azureml:a/b:1",
        "azureml:a:b:c",
        "azureml://",
        "azureml://x/y",
        "azureml:/subscriptions/s",
        "azureml://datastores/",
        "azureml://datastores/../paths/x",
        "azureml://datastores/blobs/files/x",
        "azureml://datastores/blobs/paths/../x",
        "azureml://datastores/blobs/paths/a/%2e%2e/%2e%2e/x",
        "azureml://datastores/blobs/paths/a%00b",
        "azureml://jobs/j",
        "/subscriptions/s/resourceGroups/g",
        f"{WORKSPACE}/datastores/blobs/x",
        f"{WORKSPACE}/models/heart/versions/3/",
        f"{WORKSPACE}/models/heart/versions",
        "/data/d/versions/1",
        "https://example.com/datastores/blobs/paths/x",
    ],
)
def test_no_reference(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        f'"{WORKSPACE}/datastores/blobs"/paths/x',
        f'{WORKSPACE}/datastores/blobs"/paths/x',
        f" {WORKSPACE}/datastores/blobs/paths/x",
        "'azureml://datastores/blobs'/paths/x",
        "\tazureml:heart:1",
    ],
)
def test_what_a_shell_leaves_around_a_reference_makes_it_no_path(text: str) -> None:
    """`jq` without `-r` leaves quotes around an id."""
    assert is_reference(text)
    with pytest.raises(InvalidReferenceError):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data",
        "subscriptions/x",
        "./azureml:x",
        "/tmp/x",  # noqa: S108
        "/subscriptions",
        "file:///x",
        "https://x/y",
        "abfss://a@b/c",
    ],
)
def test_what_can_be_a_path_or_url(text: str) -> None:
    assert not is_reference(text)
    assert datastore_path(text) is None


@pytest.mark.parametrize("path", ["", "a/b", "a b", "100%", "%41"])
def test_a_uri_is_read_back(path: str) -> None:
    location = DatastorePath("blobs", path)
    assert parse_reference(location.uri) == location
    assert parse_reference(location.long_uri(WORKSPACE)) == location


@pytest.mark.parametrize("text", ["azureml:heart", "azureml:heart:3", "azureml:heart@latest"])
def test_a_name_is_read_back(text: str) -> None:
    reference = parse_reference(text)
    assert isinstance(reference, AssetReference)
    assert reference.text == text
