"""Models, data, environments, computes, endpoints and deployments, by the real SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure_sdk import FAILING, Sdk


def missing() -> Any:
    from azure.core.exceptions import ResourceNotFoundError

    return pytest.raises(ResourceNotFoundError)


def refused() -> Any:
    from azure.core.exceptions import HttpResponseError

    return pytest.raises(HttpResponseError)


@pytest.mark.sdk(
    "`models.create_or_update`, `get`, `list`, `download`",
    "uploaded, versioned, found by version and `latest`; a version cannot get other content",
)
def test_a_model_and_its_versions(azure: Sdk, target: Path) -> None:
    from azure.ai.ml.entities import Model

    models, name, folder = azure.client.models, azure.name, azure.project.model
    assert folder is not None
    first = models.create_or_update(Model(name=name, path=str(folder), description="one", tags={"a": "b"}))
    (folder / "weights.txt").write_text("43")
    second = models.create_or_update(Model(name=name, path=str(folder)))
    assert (first.version, second.version, models.get(name, label="latest").version) == ("1", "2", "2")
    assert [model.version for model in models.list(name)] == ["2", "1"]
    assert name in [model.name for model in models.list()]
    shown = models.get(name, version="1")
    assert (shown.type, shown.description, shown.tags) == ("custom_model", "one", {"a": "b"})
    models.download(name, "1", download_path=target)
    assert next(target.rglob("weights.txt")).read_text() == "42"
    with refused() as caught:
        (folder / "weights.txt").write_text("44")
        models.create_or_update(Model(name=name, version="1", path=str(folder)))
    assert caught.value.status_code == 409


@pytest.mark.sdk("`models.archive`, `restore`", "lists leave archived versions out")
def test_archive_and_restore(azure: Sdk) -> None:
    from azure.ai.ml.entities import Model

    models, name = azure.client.models, azure.name
    models.create_or_update(Model(name=name, path=str(azure.project.model)))
    models.archive(name, version="1")
    assert name not in [model.name for model in models.list()]
    models.restore(name, version="1")
    assert name in [model.name for model in models.list()]


@pytest.mark.sdk("`models.create_or_update`", "what was created, found as `latest`, or listed: with other tags")
def test_a_model_is_described_anew(azure: Sdk) -> None:
    from azure.ai.ml.entities import Model

    models, name = azure.client.models, azure.name
    created = models.create_or_update(Model(name=name, path=str(azure.project.model)))
    for tag, model in (
        ("created", created),
        ("latest", models.get(name, label="latest")),
        ("listed", next(iter(models.list(name)))),
    ):
        model.tags = {"a": tag}
        assert models.create_or_update(model).tags == {"a": tag}
    assert models.get(name, version="1").tags == {"a": "listed"}


@pytest.mark.sdk("`download_artifact_from_aml_uri`", "the path of what was created, or found as `latest`")
@pytest.mark.parametrize("latest", [False, True])
def test_a_path_that_was_told_can_be_downloaded(azure: Sdk, target: Path, latest: bool) -> None:
    from azure.ai.ml._artifacts._artifact_utilities import download_artifact_from_aml_uri
    from azure.ai.ml.entities import Model

    models, name, folder = azure.client.models, azure.name, azure.project.model
    if latest:
        with azure.server.workspace() as workspace:
            workspace.assets.create("model", name, path=folder)
    model = models.get(name, label="latest") if latest else models.create_or_update(Model(name=name, path=str(folder)))
    download_artifact_from_aml_uri(model.path, str(target), azure.client.datastores)
    assert next(target.rglob("weights.txt")).read_text() == "42"


@pytest.mark.sdk("`models.create_or_update`", "the next version, though all before it are archived")
@pytest.mark.parametrize("weights", ["42", "43"])
def test_a_name_goes_on_counting_when_its_versions_are_archived(azure: Sdk, weights: str) -> None:
    from azure.ai.ml.entities import Model

    models, name, folder = azure.client.models, azure.name, azure.project.model
    assert folder is not None
    models.create_or_update(Model(name=name, path=str(folder)))
    models.archive(name, version="1")
    (folder / "weights.txt").write_text(weights)
    assert models.create_or_update(Model(name=name, path=str(folder))).version == "2"
    assert [model.version for model in models.list(name)] == ["2"]


@pytest.mark.sdk("`data.create_or_update`, `get`", "folders and files are uploaded; an address on the web is noted")
def test_data_folders_files_and_addresses(azure: Sdk) -> None:
    from azure.ai.ml.entities import Data

    data, name, inputs = azure.client.data, azure.name, azure.project.inputs
    folder = data.create_or_update(Data(name=name, path=str(inputs)))
    assert (folder.type, folder.version, data.get(name, label="latest").version) == ("uri_folder", "1", "1")
    file = data.create_or_update(Data(name=f"{name}-file", path=str(inputs / "00.txt"), type="uri_file"))
    assert file.type == "uri_file"
    remote = data.create_or_update(Data(name=f"{name}-web", path="https://example.com/numbers/"))
    assert data.get(remote.name, version="1").path == "https://example.com/numbers/"
    with missing():
        data.get(name, version="7")


@pytest.mark.sdk("`environments.create_or_update`, `get`", "an image with a conda file, which must be one")
def test_an_environment_with_a_conda_file(azure: Sdk, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Environment

    conda = tmp_path / "conda.yaml"
    conda.write_text("dependencies: [python=3.11, {pip: [pyyaml]}]\n")
    environments, name = azure.client.environments, azure.name
    made = environments.create_or_update(Environment(name=name, image="python:3.11", conda_file=str(conda)))
    assert (made.version, made.image) == ("1", "python:3.11")
    assert environments.get(name, label="latest").conda_file == {"dependencies": ["python=3.11", {"pip": ["pyyaml"]}]}
    conda.write_text("name: none\n")
    with refused() as caught:
        environments.create_or_update(Environment(name=f"{name}-x", image="python:3.11", conda_file=str(conda)))
    assert "dependencies: missing or no list" in str(caught.value)


@pytest.mark.sdk(
    "`batch_deployments.begin_create_or_update`, `get`",
    '`properties["batchtwin.warnings"]`: how the environment differs, and probable mistakes in the script',
)
def test_what_is_to_be_expected_of_the_jobs_of_a_deployment(azure: Sdk) -> None:
    from azure.ai.ml.entities import Environment

    conda = {"dependencies": [{"pip": ["pyyaml==0.1"]}]}
    registered = azure.client.environments.create_or_update(
        Environment(name=f"{azure.name}-old", image="python:3.11", conda_file=conda)
    )
    deployment = azure.deploy()
    assert "batchtwin.warnings" not in deployment.properties
    deployment.environment = registered
    made = azure.client.batch_deployments.begin_create_or_update(deployment).result()
    assert "==0.1 is requested" in made.properties["batchtwin.warnings"]
    shown = azure.client.batch_deployments.get(made.name, azure.name)
    assert shown.properties == made.properties
    shown.environment = Environment(name="plain", image="python:3.11", version="1")
    again = azure.client.batch_deployments.begin_create_or_update(shown).result()
    assert "batchtwin.warnings" not in again.properties, "it is computed, and not kept"


@pytest.mark.sdk(
    "`compute.begin_create_or_update`, `get`, `list`, `begin_delete`", "`AmlCompute` by name; jobs run on this machine"
)
def test_computes(sdk: Any) -> None:
    from azure.ai.ml.entities import AmlCompute

    asked = AmlCompute(name="small", size="STANDARD_DS2_V2", min_instances=0, max_instances=3)
    asked.idle_time_before_scale_down = 60
    made = sdk.compute.begin_create_or_update(asked).result()
    assert (made.size, made.max_instances, made.idle_time_before_scale_down) == ("STANDARD_DS2_V2", 3, 60)
    assert sdk.compute.get("small").provisioning_state == "Succeeded"
    assert "small" in [compute.name for compute in sdk.compute.list()]
    sdk.compute.begin_delete("small").wait()
    with missing():
        sdk.compute.get("small")
    with refused() as caught:
        sdk.compute.begin_create_or_update(AmlCompute(name="small", max_instances=0)).result()
    assert "max_instances >= 1" in str(caught.value)


@pytest.mark.sdk(
    "`batch_endpoints.begin_create_or_update`, `get`, `list`, `begin_delete`",
    "long-running operations; with the endpoint go its deployments, and nothing else",
)
def test_an_endpoint_is_created_changed_and_deleted(azure: Sdk) -> None:
    from azure.ai.ml.entities import BatchEndpoint

    endpoints, name = azure.client.batch_endpoints, azure.name
    azure.deploy()
    made = endpoints.begin_create_or_update(BatchEndpoint(name=name, description="one", tags={"a": "b"})).result()
    assert (made.description, made.tags, made.auth_mode, made.provisioning_state) == (
        "one",
        {"a": "b"},
        "aad_token",
        "Succeeded",
    )
    made.defaults.deployment_name = "first"
    assert endpoints.begin_create_or_update(made).result().defaults.deployment_name == "first"
    assert name in [endpoint.name for endpoint in endpoints.list()]
    endpoints.begin_delete(name).result()
    with missing():
        endpoints.get(name)
    assert azure.client.models.get(name, label="latest").version == "1"
    with missing():
        endpoints.begin_delete(name).result()


@pytest.mark.sdk("`batch_endpoints`, `batch_deployments`", "names in any case, which are kept in lower case")
def test_names_in_any_case(azure: Sdk) -> None:
    from azure.ai.ml.entities import BatchEndpoint

    azure.deploy()
    endpoints, deployments, name = azure.client.batch_endpoints, azure.client.batch_deployments, azure.name.upper()
    assert endpoints.get(name).name == azure.name
    deployment = deployments.get("First", name)
    deployment.endpoint_name = name
    assert deployments.begin_create_or_update(deployment).result().name == "first"
    routed = endpoints.begin_create_or_update(BatchEndpoint(name=name, defaults={"deployment_name": "First"})).result()
    assert routed.defaults.deployment_name == "first"
    deployments.begin_delete("First", name).result()
    assert list(deployments.list(name)) == []
    endpoints.begin_delete(name).result()


@pytest.mark.refused("`batch_endpoints.begin_create_or_update`", "a default deployment that is not there")
def test_an_endpoint_routes_to_a_deployment_that_it_has(azure: Sdk) -> None:
    from azure.ai.ml.entities import BatchEndpoint

    azure.deploy()
    with missing() as caught:
        azure.client.batch_endpoints.begin_create_or_update(
            BatchEndpoint(name=azure.name, defaults={"deployment_name": "none"})
        ).result()
    assert "deployment 'none'" in str(caught.value)


@pytest.mark.sdk("`batch_deployments.get`", "what was not given has the service's default")
def test_a_deployment_gets_the_defaults_of_the_service(deployed: Sdk) -> None:
    shown = deployed.client.batch_deployments.get("first", deployed.name)
    settings = shown.settings if hasattr(shown, "settings") else shown
    assert (settings.mini_batch_size, settings.max_concurrency_per_instance, settings.error_threshold) == (1, 1, -1)
    assert (settings.output_action, settings.output_file_name) == ("append_row", "predictions.csv")
    assert (settings.retry_settings.max_retries, settings.retry_settings.timeout) == (3, 30)
    assert shown.resources.instance_count == 1
    assert shown.model.endswith(f"/models/{deployed.name}/versions/1")


@pytest.mark.sdk("`batch_deployments.begin_create_or_update`", "every setting comes back")
def test_settings_come_back_as_they_were_given(azure: Sdk) -> None:
    from azure.ai.ml.entities import BatchRetrySettings

    azure.deploy(
        mini_batch_size=4,
        instance_count=2,
        max_concurrency_per_instance=3,
        output_action="summary_only",
        retry_settings=BatchRetrySettings(max_retries=1, timeout=300),
        error_threshold=7,
        logging_level="debug",
        environment_variables={"COLOUR": "red"},
    )
    shown = azure.client.batch_deployments.get("first", azure.name)
    assert (shown.mini_batch_size, shown.max_concurrency_per_instance, shown.error_threshold) == (4, 3, 7)
    assert (shown.output_action, shown.logging_level.lower()) == ("summary_only", "debug")
    assert (shown.retry_settings.max_retries, shown.retry_settings.timeout) == (1, 300)
    assert (shown.resources.instance_count, shown.environment_variables) == (2, {"COLOUR": "red"})


@pytest.mark.sdk("`batch_deployments.begin_create_or_update`, `list`, `begin_delete`", "code is known by its content")
def test_the_same_code_is_uploaded_once(azure: Sdk) -> None:
    first = azure.deploy(name="first")
    model = azure.client.models.get(azure.name, version="1")
    second = azure.create(model, "second")
    assert first.code_configuration.code == second.code_configuration.code
    assert [each.name for each in azure.client.batch_deployments.list(azure.name)] == ["first", "second"]
    azure.client.batch_deployments.begin_delete("second", azure.name).result()
    with missing():
        azure.client.batch_deployments.get("second", azure.name)


@pytest.mark.sdk("`batch_deployments.begin_create_or_update`", "nothing of the code is run")
def test_nothing_runs_when_a_deployment_is_created(azure: Sdk, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    azure.deploy(f"open({str(mark)!r}, 'w').close()\ndef run(files): return files")
    assert not mark.exists()


@pytest.mark.refused(
    "`batch_deployments.begin_create_or_update`",
    "sizes, thresholds, levels and names out of range, which the SDK sends",
)
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mini_batch_size": -1}, "settings.mini_batch_size: -1 is out of range"),
        ({"error_threshold": -5}, "settings.error_threshold: -5 is out of range"),
        ({"logging_level": "chatty"}, "settings.logging_level"),
        ({"output_file_name": "a/b.csv"}, "settings.output_file_name"),
    ],
)
def test_what_the_sdk_lets_through_is_refused(azure: Sdk, settings: dict[str, Any], text: str) -> None:
    with refused() as caught:
        azure.deploy(FAILING, **settings)
    assert caught.value.status_code == 400
    assert text in str(caught.value)


@pytest.mark.refused("`batch_deployments.begin_create_or_update`", "a model that is not registered")
def test_a_deployment_needs_what_it_names(azure: Sdk) -> None:
    azure.deploy()
    model = azure.client.models.get(azure.name, version="1")
    model_id = model.id.replace("/versions/1", "/versions/9")
    with missing() as caught:
        azure.create(model_id, "second")
    assert f"model '{azure.name}:9'" in str(caught.value)


@pytest.mark.sdk("`workspaces.get`, `datastores.get_default`, `list`", "one workspace, under any name; two datastores")
def test_the_workspace(sdk: Any) -> None:
    shown = sdk.workspaces.get("local")
    assert (shown.location, shown.mlflow_tracking_uri[:10]) == ("local", "sqlite:///")
    assert sdk.datastores.get_default().name == "workspaceblobstore"
    assert {store.name for store in sdk.datastores.list()} == {"workspaceblobstore", "workspaceartifactstore"}


@pytest.mark.refused(
    "`components`, `schedules`, `online_endpoints`", "the SDK's error, with a sentence on what runs here"
)
def test_the_sdk_tells_what_does_not_run_here(sdk: Any) -> None:
    """Azure's own error, with the sentence in it; no retries and no stack of another library."""
    from azure.ai.ml.entities import ManagedOnlineEndpoint
    from azure.core.exceptions import HttpResponseError

    with pytest.raises(HttpResponseError, match="components and pipelines do not run here"):
        list(sdk.components.list())
    with pytest.raises(HttpResponseError, match="schedules do not run here"):
        list(sdk.schedules.list())
    with pytest.raises(HttpResponseError, match="online endpoints do not run here"):
        sdk.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="online")).result()
