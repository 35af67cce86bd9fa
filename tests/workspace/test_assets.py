"""Registered models and data: versions, labels, copies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchtwin.workspace.entities import Metadata
from batchtwin.workspace.errors import ConflictError, InvalidError, NotFoundError
from batchtwin.workspace.workspace import Workspace


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with one file."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.txt").write_text("1")
    return folder


def test_the_first_version_is_1(workspace: Workspace, model: Path) -> None:
    assert workspace.assets.create("model", "heart", path=model).version == "1"


def test_unchanged_content_is_no_new_version(workspace: Workspace, model: Path) -> None:
    first = workspace.assets.create("model", "heart", path=model)
    assert workspace.assets.create("model", "heart", path=model) == first
    assert len(workspace.assets.list("model", "heart")) == 1


def test_changed_content_is_the_next_version(workspace: Workspace, model: Path) -> None:
    workspace.assets.create("model", "heart", path=model, version="7")
    (model / "weights.txt").write_text("2")
    assert workspace.assets.create("model", "heart", path=model).version == "8"


def test_going_back_to_old_content_is_a_new_version(workspace: Workspace, model: Path) -> None:
    for text in ("1", "2", "1"):
        (model / "weights.txt").write_text(text)
        newest = workspace.assets.create("model", "heart", path=model)
    assert newest.version == "3"
    assert workspace.assets.resolve("model", "azureml:heart@latest") == newest


def test_another_type_is_another_version(workspace: Workspace, model: Path) -> None:
    workspace.assets.create("model", "heart", path=model)
    assert workspace.assets.create("model", "heart", path=model, type="mlflow_model").version == "2"


def test_a_version_keeps_its_content(workspace: Workspace, model: Path) -> None:
    workspace.assets.create("model", "heart", path=model, version="1")
    (model / "weights.txt").write_text("2")
    with pytest.raises(ConflictError, match="heart:1: exists with other content"):
        workspace.assets.create("model", "heart", path=model, version="1")


def test_the_same_version_again_describes_it(workspace: Workspace, model: Path) -> None:
    first = workspace.assets.create("model", "heart", path=model, version="1", metadata=Metadata(tags={"a": "b"}))
    again = workspace.assets.create("model", "heart", path=model, version="1", metadata=Metadata("new"))
    assert (again.description, again.tags) == ("new", {"a": "b"})
    assert again.created == first.created
    assert again.changed > first.changed


def test_a_version_may_be_a_word(workspace: Workspace, model: Path) -> None:
    workspace.assets.create("model", "heart", path=model, version="2.0-beta")
    (model / "weights.txt").write_text("2")
    assert workspace.assets.create("model", "heart", path=model).version == "1"
    assert workspace.assets.get("model", "heart", "2.0-beta").version == "2.0-beta"


def test_what_is_registered_is_a_copy(workspace: Workspace, model: Path) -> None:
    path = workspace.assets.create("model", "heart", path=model).path
    (model / "weights.txt").write_text("2")
    assert path is not None
    assert path.name == "model"
    assert (path / "weights.txt").read_text() == "1"


def test_a_copy_is_read_only(workspace: Workspace, model: Path) -> None:
    path = workspace.assets.create("model", "heart", path=model).path
    assert path is not None
    assert not (path / "weights.txt").stat().st_mode & 0o222


def test_what_was_uploaded_to_a_datastore_takes_no_space_twice(workspace: Workspace) -> None:
    uploaded = workspace.datastores.make("uploads") / "model"
    uploaded.mkdir()
    (uploaded / "weights.txt").write_text("1")
    path = workspace.assets.create("model", "heart", path=uploaded).path
    assert path is not None
    assert (path / "weights.txt").samefile(uploaded / "weights.txt")


def test_what_is_uploaded_again_leaves_the_version_as_it_is(workspace: Workspace) -> None:
    uploaded = workspace.datastores.make("uploads") / "weights.txt"
    uploaded.write_text("1")
    path = workspace.assets.create("model", "heart", path=uploaded).path
    new = uploaded.with_name("new")  # as the blob service writes: a new file, then a rename
    new.write_text("2")
    new.replace(uploaded)
    assert path is not None
    assert path.read_text() == "1"


def test_a_link_out_of_a_datastore_is_copied(workspace: Workspace, model: Path) -> None:
    uploaded = workspace.datastores.make("uploads") / "model"
    uploaded.symlink_to(model)
    path = workspace.assets.create("model", "heart", path=uploaded).path
    assert path is not None
    assert not (path / "weights.txt").samefile(model / "weights.txt")
    assert (model / "weights.txt").stat().st_mode & 0o200


def test_what_python_compiled_is_not_copied(workspace: Workspace, model: Path) -> None:
    (model / "__pycache__").mkdir()
    (model / "__pycache__/x.pyc").write_text("")
    path = workspace.assets.create("model", "heart", path=model).path
    assert path is not None
    assert os.listdir(path) == ["weights.txt"]


def test_a_folder_around_the_workspace_is_copied_without_it(workspace: Workspace, tmp_path: Path, model: Path) -> None:
    path = workspace.assets.create("data", "all", path=tmp_path).path
    assert path is not None
    assert os.listdir(path) == ["model"]


def test_links_are_followed_and_end(workspace: Workspace, tmp_path: Path, model: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_text("a")
    (model / "linked").symlink_to(tmp_path / "outside")
    (model / "round").symlink_to(model)
    (model / "broken").symlink_to("nowhere")
    os.mkfifo(model / "pipe")
    path = workspace.assets.create("model", "heart", path=model).path
    assert path is not None
    assert sorted(os.listdir(path)) == ["linked", "weights.txt"]
    assert (path / "linked/a.txt").read_text() == "a"


def test_what_a_killed_command_left_is_replaced(workspace: Workspace, where: str, model: Path) -> None:
    left = Path(where) / "models/heart/1/model"
    left.mkdir(parents=True)
    (left / "torn.txt").write_text("")
    path = workspace.assets.create("model", "heart", path=model).path
    assert path == left
    assert os.listdir(left) == ["weights.txt"]


def test_nothing_is_left_in_staging(workspace: Workspace, where: str, model: Path) -> None:
    for version in ("1", "2", "2"):
        workspace.assets.create("model", "heart", path=model, version=version)
    with pytest.raises(InvalidError):
        workspace.assets.create("model", "heart", path=model / "none")
    assert os.listdir(Path(where) / ".staging") == []


def test_a_missing_path(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="none: no such file or folder"):
        workspace.assets.create("model", "heart", path=tmp_path / "none")


def test_an_archived_version_is_not_the_latest(workspace: Workspace, model: Path) -> None:
    workspace.assets.create("model", "heart", path=model)
    (model / "weights.txt").write_text("2")
    workspace.assets.create("model", "heart", path=model)
    workspace.assets.archive("model", "heart", "2")
    assert workspace.assets.get("model", "heart").version == "1"
    assert workspace.assets.get("model", "heart", "2").archived
    assert [asset.version for asset in workspace.assets.list("model", "heart", include_archived=True)] == ["2", "1"]


def test_an_archived_version_is_counted(workspace: Workspace, model: Path) -> None:
    workspace.assets.create("model", "heart", path=model)
    workspace.assets.archive("model", "heart")
    assert workspace.assets.create("model", "heart", path=model).version == "2"


def test_a_list_has_the_newest_of_each_name(workspace: Workspace, model: Path) -> None:
    for name in ("a", "b"):
        for version in ("1", "2"):
            workspace.assets.create("model", name, path=model, version=version)
    assert [(asset.name, asset.version) for asset in workspace.assets.list("model")] == [("b", "2"), ("a", "2")]


@pytest.mark.parametrize("reference", ["azureml:heart:2", "azureml:none@latest", "azureml:heart:1"])
def test_not_found(workspace: Workspace, reference: str) -> None:
    with pytest.raises(NotFoundError, match="not found") as caught:
        workspace.assets.resolve("model", reference)
    assert caught.value.exit_code == 3


def test_a_reference_needs_a_version(workspace: Workspace) -> None:
    with pytest.raises(InvalidError, match="Failed to extract version when parsing asset azureml:heart"):
        workspace.assets.resolve("model", "azureml:heart")


@pytest.mark.parametrize(("name", "expected"), [("model", "uri_folder"), ("model/weights.txt", "uri_file")])
def test_the_type_of_data(workspace: Workspace, model: Path, name: str, expected: str) -> None:
    assert workspace.assets.create("data", "heart", path=model.parent / name).type == expected


def test_a_file_is_no_folder(workspace: Workspace, model: Path) -> None:
    with pytest.raises(InvalidError, match=r"weights.txt: is a file, and the type is uri_folder"):
        workspace.assets.create("data", "heart", path=model / "weights.txt", type="uri_folder")


def test_a_remote_address_is_kept_as_it_is(workspace: Workspace) -> None:
    asset = workspace.assets.create("data", "remote", uri="https://example.com/heart.csv", type="uri_file")
    assert asset.path is None
    assert asset.properties == {"uri": "https://example.com/heart.csv"}


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", ""])
def test_a_name_leads_nowhere(workspace: Workspace, where: str, model: Path, name: str) -> None:
    with pytest.raises(InvalidError):
        workspace.assets.create("model", name, path=model)
    assert all(entry.startswith("workspace.sqlite") for entry in os.listdir(where))


def test_a_workspace_is_found_again(workspace: Workspace, where: str, model: Path) -> None:
    asset = workspace.assets.create("model", "heart", path=model)
    with Workspace.open(where) as again:
        assert again.assets.get("model", "heart") == asset


def test_a_moved_workspace_still_works(workspace: Workspace, where: str, model: Path) -> None:
    workspace.assets.create("model", "heart", path=model)
    workspace.close()
    moved = Path(where).rename(Path(where).with_name("moved"))
    with Workspace.open(str(moved)) as again:
        path = again.assets.get("model", "heart").path
    assert path == moved / "models/heart/1/model"
