"""`az ml model|data|compute`, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_az import Az

from batchtwin.azure.cli.views import WORKSPACE


@pytest.fixture
def az(tmp_path: Path) -> Az:
    """An empty workspace, and a model and data to register."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights.txt").write_text("42")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("a")
    return Az(tmp_path)


def test_a_model_has_the_keys_that_az_prints(az: Az) -> None:
    made = az.json("model", "create", "-n", "m", "-t", "custom_model", "-p", "model", "--tags", "a=b", "c=1")
    assert made["creation_context"].pop("created_at").endswith("+00:00")
    assert made == {
        "creation_context": {
            "created_by": "local",
            "created_by_type": "User",
            "last_modified_at": made["creation_context"]["last_modified_at"],
            "last_modified_by": "local",
            "last_modified_by_type": "User",
        },
        "description": "",
        "id": f"azureml:{WORKSPACE}/models/m/versions/1",
        "name": "m",
        "path": str(az.folder / "workspace/models/m/1/model"),
        "properties": {},
        "resourceGroup": "local",
        "tags": {"a": "b", "c": "1"},
        "type": "custom_model",
        "version": "1",
    }


def test_a_model_with_other_content_becomes_the_next_version(az: Az) -> None:
    create = ("model", "create", "-n", "m", "-p", "model", "--query", "version", "-o", "tsv")
    assert [az.ok(*create), az.ok(*create)] == ["1\n", "1\n"]
    (az.folder / "model/weights.txt").write_text("43")
    assert az.ok(*create) == "2\n"
    assert az.ok("model", "show", "-n", "m", "-l", "latest", "--query", "version", "-o", "tsv") == "2\n"
    assert az.json("model", "list", "-n", "m", "--query", "[].version") == ["2", "1"]
    assert az.json("model", "list", "--query", "[].[name,latest_version]") == [["m", "2"]]


@pytest.mark.parametrize("store", ["azureml://datastores/blobs", f"{WORKSPACE}/datastores/blobs"])
def test_data_in_a_datastore_of_the_workspace_is_registered_as_a_copy(az: Az, store: str) -> None:
    uploaded = az.folder / "workspace/datastores/blobs/data"
    uploaded.mkdir(parents=True)
    (uploaded / "a.csv").write_text("1\n")
    made = az.json("data", "create", "-n", "d", "-p", f"{store}/paths/data")
    assert made["path"] == str(az.folder / "workspace/data/d/1/data")


def test_data_in_a_datastore_of_the_cloud_is_noted(az: Az) -> None:
    uri = "azureml://datastores/blobs/paths/data"
    assert az.json("data", "create", "-n", "d", "-p", uri)["path"] == uri


@pytest.mark.parametrize("path", ["azureml:d:1", f"{WORKSPACE}/data/d/versions/1", '"/subscriptions/s/x"'])
def test_what_names_no_place_is_not_registered(az: Az, path: str) -> None:
    done = az("data", "create", "-n", "e", "-p", path)
    assert done.code != 0
    assert "ERROR: " in done.err
    assert az.json("data", "list") == []


def test_an_id_is_no_folder_to_download_to(az: Az) -> None:
    az.ok("model", "create", "-n", "m", "-p", "model")
    done = az("model", "download", "-n", "m", "-v", "1", "-p", f"{WORKSPACE}/datastores/workspaceblobstore/paths/x")
    assert (done.code, "give a folder of this machine" in done.err) == (2, True)
    assert not Path("/subscriptions").exists()


def test_a_model_that_is_not_there_is_exit_3(az: Az) -> None:
    done = az("model", "show", "-n", "m", "-v", "1")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("ERROR: model 'm:1'")


def test_a_model_is_shown_by_version_or_by_label(az: Az) -> None:
    assert az("model", "show", "-n", "m").code == 2
    both = az("model", "show", "-n", "m", "-v", "1", "-l", "latest")
    assert (both.code, both.err) == (2, "ERROR: Cannot specify both version and label.\n")


def test_a_model_is_downloaded_to_a_folder_of_its_name(az: Az) -> None:
    az.ok("model", "create", "-n", "m", "-p", "model")
    az.ok("model", "create", "-n", "file", "-p", "model/weights.txt")
    assert az.ok("model", "download", "-n", "m", "-v", "1", "-p", "here") == ""
    assert (az.folder / "here/m/model/weights.txt").read_text() == "42"
    az.ok("model", "download", "-n", "file", "-v", "1")
    assert (az.folder / "file/weights.txt").read_text() == "42"


def test_an_archived_model_is_not_listed(az: Az) -> None:
    az.ok("model", "create", "-n", "m", "-p", "model")
    az.ok("model", "create", "-n", "other", "-p", "model")
    az.ok("model", "archive", "-n", "m", "-l", "latest")
    names = ("--query", "[].name", "-o", "tsv")
    assert az.ok("model", "list", *names) == "other\n"
    assert set(az.ok("model", "list", "--include-archived", *names).split()) == {"m", "other"}
    assert az.ok("model", "list", "--archived-only", *names) == "m\n"


def test_data_comes_from_a_file_with_its_paths_relative_to_it(az: Az) -> None:
    (az.folder / "sub").mkdir()
    (az.folder / "sub/data.yml").write_text("name: d\npath: ../data\ntype: uri_folder\ntags: {a: b}\n")
    made = az.json("data", "create", "-f", "sub/data.yml", "--set", "tags.c=d", "description=hello there")
    assert (made["name"], made["type"], made["description"]) == ("d", "uri_folder", "hello there")
    assert made["tags"] == {"a": "b", "c": "d"}
    assert Path(made["path"], "a.txt").read_text() == "a"


def test_flags_win_over_set_and_set_over_the_file(az: Az) -> None:
    (az.folder / "data.yml").write_text("name: file\nversion: 7\npath: data\n")
    made = az.json("data", "create", "-f", "data.yml", "-n", "flag", "--set", "name=set", "version=8")
    assert (made["name"], made["version"]) == ("flag", "8")
    assert az.ok("data", "show", "-n", "flag", "-v", "8", "--query", "name", "-o", "tsv") == "flag\n"
    assert az.json("data", "list", "--query", "[].name") == ["flag"]


def test_a_file_that_cannot_be_is_told_by_line(az: Az) -> None:
    (az.folder / "data.yml").write_text("name: d\npaht: data\n")
    done = az("data", "create", "-f", "data.yml")
    assert done.code == 1
    assert "data.yml:2: paht: unknown key; did you mean path?" in done.err


def test_what_neither_file_nor_flags_give_is_a_usage_error(az: Az) -> None:
    done = az("data", "create", "-n", "d")
    assert (done.code, done.err) == (2, "ERROR: --path: is required; add it\n")


def test_public_data_is_registered_by_its_address(az: Az) -> None:
    address = "https://example.com/data"
    assert az.json("data", "create", "-n", "d", "--path", address, "-t", "uri_folder")["path"] == address


def test_a_compute_is_created_shown_listed_and_deleted(az: Az) -> None:
    made = az.json("compute", "create", "-n", "cluster", "--type", "AmlCompute", "--max-instances", "5")
    assert made["id"] == f"{WORKSPACE}/computes/cluster"
    assert (made["min_instances"], made["max_instances"], made["size"]) == (0, 5, "STANDARD_DS3_V2")
    assert az.json("compute", "show", "-n", "cluster") == made
    assert az.json("compute", "list", "--type", "AmlCompute") == [made]
    assert az.json("compute", "list", "--type", "ComputeInstance") == []
    assert az.ok("compute", "delete", "-n", "cluster", "--yes") == ""
    assert az("compute", "show", "-n", "cluster").code == 3


def test_a_delete_without_yes_needs_a_terminal(az: Az) -> None:
    az.ok("compute", "create", "-n", "cluster", "--type", "amlcompute")
    done = az("compute", "delete", "-n", "cluster")
    assert (done.code, done.err) == (1, "ERROR: Unable to prompt for confirmation as no tty available. Use --yes.\n")


def test_an_option_about_machines_is_taken_with_a_warning(az: Az) -> None:
    create = ("compute", "create", "-n", "cluster", "--type", "amlcompute", "--vnet-name", "v", "-g", "group")
    assert az(*create).err == "WARNING: --vnet-name has no meaning on this machine and is ignored.\n"
    assert az(*create, "--only-show-errors").err == ""


def test_debug_shows_where_an_error_came_from(az: Az) -> None:
    done = az("model", "show", "-n", "m", "-v", "1", "--debug")
    assert done.code == 3
    assert "Traceback" in done.err


def test_the_first_letters_of_an_option_are_enough_if_no_other_has_them(az: Az) -> None:
    whole = az("model", "list", "--max-results", "1")
    assert (whole.code, az("model", "list", "--max", "1").out) == (0, whole.out)
    done = az("model", "list", "--a", "x")
    assert done.code == 2


def test_an_empty_name_is_told_as_what_it_is(az: Az) -> None:
    done = az("model", "show", "-n", "", "--version", "1")
    assert done.code == 2
    assert "--name: is empty; is the variable set that it comes from?" in done.err
