"""`az ml batch-endpoint|batch-deployment`, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_az import DEPLOYMENT, ENDPOINT, Az

from batchtwin.azure.cli.views import WORKSPACE
from support import Project

THIS = ("-n", DEPLOYMENT, "-e", ENDPOINT)


@pytest.fixture
def az(tmp_path: Path) -> Az:
    """An empty workspace."""
    return Az(tmp_path)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Az:
    """A workspace with a deployment, for tests that leave it as it is."""
    az = Az(tmp_path_factory.mktemp("deployed"))
    az.deploy()
    return az


def test_an_endpoint_has_the_keys_that_az_prints(az: Az) -> None:
    made = az.json("batch-endpoint", "create", "-n", "heart", "--set", "tags.a=b", "description=hello")
    assert made == {
        "auth_mode": "aad_token",
        "defaults": {},
        "description": "hello",
        "id": f"{WORKSPACE}/batchEndpoints/heart",
        "location": "local",
        "name": "heart",
        "properties": {},
        "provisioning_state": "Succeeded",
        "resourceGroup": "local",
        "scoring_uri": "https://heart.local.inference.ml.azure.com/jobs",
        "tags": {"a": "b"},
    }
    assert az.json("batch-endpoint", "show", "-n", "heart") == made
    assert az.json("batch-endpoint", "list") == [made]


def test_create_is_an_upsert(az: Az) -> None:
    az.ok("batch-endpoint", "create", "-n", "heart", "--set", "description=one")
    az.ok("batch-endpoint", "create", "-n", "heart", "--set", "description=two")
    assert az.json("batch-endpoint", "list", "--query", "[].description") == ["two"]


def test_the_name_is_kept_in_lower_case(az: Az) -> None:
    assert az.json("batch-endpoint", "create", "-n", "Heart")["name"] == "heart"
    assert az.json("batch-endpoint", "show", "-n", "HEART")["name"] == "heart"


def test_an_endpoint_is_updated_key_by_key(az: Az) -> None:
    az.ok("batch-endpoint", "create", "-n", "heart", "--set", "tags.a=b", "description=hello")
    update = ("batch-endpoint", "update", "-n", "heart")
    changed = az.json(*update, "--set", "tags.c=1", "--remove", "tags.a")
    assert (changed["tags"], changed["description"]) == ({"c": 1}, "hello")
    assert az.json(*update, "--force-string", "--set", "tags.c=1")["tags"] == {"c": "1"}
    assert az(*update, "--remove", "tags.a").code == 2
    assert az(*update, "--add", "tags", "a=b").code == 2
    assert az(*update, "--set", "scoring_uro=x").code == 2


def test_an_endpoint_is_updated_from_a_file(az: Az) -> None:
    az.ok("batch-endpoint", "create", "-n", "heart", "--set", "tags.a=b")
    (az.folder / "endpoint.yml").write_text("name: heart\ndescription: new\n")
    changed = az.json("batch-endpoint", "update", "-f", "endpoint.yml")
    assert (changed["tags"], changed["description"]) == ({"a": "b"}, "new")
    assert az("batch-endpoint", "update", "--set", "tags.a=b").code == 2


def test_a_default_that_is_not_there_is_not_found(az: Az) -> None:
    az.ok("batch-endpoint", "create", "-n", "heart")
    update = ("batch-endpoint", "update", "-n", "heart")
    assert az(*update, "--set", "defaults.deployment_name=no").code == 3
    assert az(*update, "--defaults", "deployment_name=no").code == 3


def test_a_deployment_has_the_keys_that_az_prints(deployed: Az) -> None:
    made = deployed.json("batch-deployment", "show", *THIS)
    assert made.pop("creation_context")["created_by"] == "local"
    assert made.pop("model").startswith(f"azureml:{WORKSPACE}/models/")
    assert made.pop("environment") == f"azureml:{WORKSPACE}/environments/test/versions/1"
    code = made.pop("code_configuration")
    assert (code["code"].startswith(f"{WORKSPACE}/codes/"), code["scoring_script"]) == (True, "driver.py")
    assert made == {
        "compute": f"azureml:{WORKSPACE}/computes/cluster",
        "endpoint_name": ENDPOINT,
        "environment_variables": {},
        "error_threshold": -1,
        "id": f"{WORKSPACE}/batchEndpoints/{ENDPOINT}/deployments/{DEPLOYMENT}",
        "name": DEPLOYMENT,
        "properties": {},
        "provisioning_state": "Succeeded",
        "resourceGroup": "local",
        "resources": {"instance_count": 1, "properties": {}},
        "settings": {
            "error_threshold": -1,
            "logging_level": "info",
            "max_concurrency_per_instance": 1,
            "mini_batch_size": 1,
            "output_action": "append_row",
            "output_file_name": "predictions.csv",
            "retry_settings": {"max_retries": 3, "timeout": 30},
        },
        "tags": {},
        "type": "model",
    }


def test_set_default_routes_the_endpoint(deployed: Az) -> None:
    shown = deployed.json("batch-endpoint", "show", "-n", ENDPOINT, "--query", "defaults")
    assert shown == {"deployment_name": DEPLOYMENT}


def test_deployments_are_listed_by_endpoint(deployed: Az) -> None:
    assert deployed.json("batch-deployment", "list", "-e", ENDPOINT, "--query", "[].name") == [DEPLOYMENT]
    assert deployed("batch-deployment", "list", "-e", "no-endpoint").code == 3


def test_what_is_not_there_is_exit_3(deployed: Az) -> None:
    for words in (("show",), ("delete", "--yes"), ("list-jobs",), ("update", "--set", "description=x")):
        assert deployed("batch-deployment", *words, "-n", "no-deployment", "-e", ENDPOINT).code == 3
    for words in (("show",), ("delete", "--yes"), ("list-jobs",), ("update", "--set", "description=x")):
        assert deployed("batch-endpoint", *words, "-n", "no-endpoint").code == 3


def test_an_unknown_deployment_is_told_in_the_service_s_words(deployed: Az) -> None:
    done = deployed("batch-endpoint", "invoke", "-n", ENDPOINT, "-d", "no-deployment", "--input", "x")
    assert "Deployment name no-deployment not found for this endpoint" in done.err
    assert done.code != 0


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--set", "inputs.a.type=string", "inputs.a.default=b"), "LiteralJobInput"),
        (("--inputs", "a.type=number", "a.default=1"), "LiteralJobInput"),
        (("--set", "inputs.a.default=b"), "LiteralJobInput"),
        (("--input", "x", "--input-type", "mltable"), "MLTableJobInput"),
    ],
)
def test_a_literal_or_a_table_is_refused_in_the_service_s_words(
    words: tuple[str, ...], kind: str, deployed: Az
) -> None:
    done = deployed("batch-endpoint", "invoke", "-n", ENDPOINT, *words)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"ERROR: The specified job input type '{kind}' is not supported. "
        "The supported types are: UriFileJobInput, UriFolderJobInput.\n"
    )


def test_an_endpoint_without_deployments_has_no_route(az: Az) -> None:
    az.ok("batch-endpoint", "create", "-n", "heart")
    done = az("batch-endpoint", "invoke", "-n", "heart", "--input", ".")
    assert done.code == 1
    assert done.err.startswith("ERROR: No valid deployments to route to. Please check that the endpoint has at least")


def test_a_setting_of_the_deployment_is_not_for_one_job(deployed: Az) -> None:
    done = deployed("batch-endpoint", "invoke", "-n", ENDPOINT, "--input", ".", "--set", "model=azureml:other:1")
    assert done.code == 1
    assert "model" in done.err


def test_a_deployment_is_created_with_changes_and_under_other_names(az: Az) -> None:
    project = Project(az.folder / "project", "def run(mini_batch): return mini_batch")
    az.ok("compute", "create", "-n", "cluster", "--type", "amlcompute")
    az.ok("batch-endpoint", "create", "-n", "other")
    words = ("-f", project.write(), "-e", "other", "-n", "renamed", "--set", "settings.mini_batch_size=4")
    made = az.json("batch-deployment", "create", *words, "settings.retry_settings.timeout=7")
    assert (made["endpoint_name"], made["name"]) == ("other", "renamed")
    assert (made["settings"]["mini_batch_size"], made["settings"]["retry_settings"]["timeout"]) == (4, 7)


def test_the_name_of_a_deployment_is_kept_in_lower_case(az: Az) -> None:
    project = az.deploy()
    words = ("-n", DEPLOYMENT.upper(), "-e", ENDPOINT.upper())
    assert az.json("batch-deployment", "create", "-f", project.write(), *words)["name"] == DEPLOYMENT
    assert az.json("batch-deployment", "update", *words, "--set", "tags.a=b")["name"] == DEPLOYMENT
    route = ("batch-endpoint", "update", "-n", ENDPOINT, "--defaults", f"deployment_name={DEPLOYMENT.upper()}")
    assert az.json(*route)["defaults"] == {"deployment_name": DEPLOYMENT}
    assert az.ok("batch-deployment", "delete", *words, "--yes") == ""


def test_a_deployment_is_updated_key_by_key(az: Az) -> None:
    az.deploy()
    before = az.json("batch-deployment", "show", *THIS)
    after = az.json("batch-deployment", "update", *THIS, "--set", "settings.mini_batch_size=4", "tags.a=b")
    assert after["settings"] == {**before["settings"], "mini_batch_size": 4}
    assert after["tags"] == {"a": "b"}
    parts = ("model", "code_configuration", "environment", "compute")
    assert [after[key] for key in parts] == [before[key] for key in parts]
    assert az.json("batch-deployment", "update", *THIS, "--remove", "tags.a")["tags"] == {}


def test_deleting_the_default_unsets_it_and_deleting_the_endpoint_deletes_the_rest(az: Az) -> None:
    az.deploy()
    assert az.ok("batch-deployment", "delete", *THIS, "-y") == ""
    assert az.json("batch-endpoint", "show", "-n", ENDPOINT, "--query", "defaults") == {}
    az.ok("batch-endpoint", "delete", "-n", ENDPOINT, "--yes")
    assert az.json("batch-endpoint", "list") == []
    assert az.json("compute", "list", "--query", "[].name") == ["cluster"]


def test_what_a_deployment_lacks_is_told_with_the_command_that_creates_it(az: Az) -> None:
    words = ("batch-deployment", "create", "-f", Project(az.folder / "project", "def run(batch): return batch").write())
    created = []
    while (done := az(*words)).code:
        assert done.code == 3 and " not found in this workspace; create it: batchtwin ml " in done.err
        command = done.err.partition("; create it: batchtwin ml ")[2].split()
        created.append(command[0])
        az.ok(*command)
    assert sorted(created) == ["batch-endpoint", "compute"]
    assert az("compute", "show", "-n", "none").err == "ERROR: compute 'none': not found in this workspace\n"
