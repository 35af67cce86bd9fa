"""Names, versions and references."""

from __future__ import annotations

import pytest

from batchtwin.workspace.errors import InvalidError
from batchtwin.workspace.names import Named, asset_reference, check_name, check_version

ARM = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/models/heart/versions/3"
)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("model", "heart-classifier-mlflow"),
        ("data", "a"),
        ("data", "Heart_2.1"),
        ("endpoint", "abc"),
        ("deployment", "classifier-xgboost-mlflow"),
        ("compute", "cl"),
        ("job", "batchjob-1"),
        ("experiment", "heart_trial-1"),
    ],
)
def test_a_name(kind: Named, name: str) -> None:
    assert check_name(kind, name) == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("model", ""),
        ("model", ".."),
        ("model", "../x"),
        ("model", "a/b"),
        ("model", "a\\b"),
        ("model", "a:b"),
        ("model", "a@b"),
        ("model", "a\n"),
        ("model", "x" * 256),
        ("data", ".hidden"),
        ("endpoint", "ab"),
        ("endpoint", "a" * 33),
        ("endpoint", "1abc"),
        ("endpoint", "abc-"),
        ("endpoint", "a_bc"),
        ("deployment", "abc\n"),
        ("compute", "c"),
        ("job", "a.b"),
        ("job", "x-batchscoring"),
        ("experiment", "/a/x"),
        ("experiment", ".."),
        ("experiment", "a b"),
    ],
)
def test_no_name(kind: Named, name: str) -> None:
    with pytest.raises(InvalidError, match=f"{kind} name"):
        check_name(kind, name)


@pytest.mark.parametrize("version", ["", "..", "1/2", "../1", "1 "])
def test_no_version(version: str) -> None:
    with pytest.raises(InvalidError, match="version"):
        check_version(version)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("azureml:heart:3", ("heart", "3", None)),
        ("azureml:heart@latest", ("heart", None, "latest")),
        ("heart:3", ("heart", "3", None)),
        ("heart", ("heart", None, None)),
        (ARM, ("heart", "3", None)),
        ("azureml:" + ARM, ("heart", "3", None)),
    ],
)
def test_a_reference(text: str, expected: tuple[str, str | None, str | None]) -> None:
    reference = asset_reference("model", text)
    assert (reference.name, reference.version, reference.label) == expected


@pytest.mark.parametrize("text", ["azureml:", "azureml:a:b:c", "azureml:../a:1", "a b", ARM.replace("models", "data")])
def test_no_reference(text: str) -> None:
    with pytest.raises(InvalidError):
        asset_reference("model", text)
