"""`batch_endpoints.invoke` with all that it takes, by the real SDK; and what a model deployment does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure_sdk import Sdk

from batchtwin.deployment.schema import Deployment

DATASTORE = "azureml://datastores/workspaceblobstore/paths"


def refused() -> Any:
    """What the SDK raises when a request is refused."""
    from azure.core.exceptions import HttpResponseError

    return pytest.raises(HttpResponseError)


def data_input(path: str, type: str = "uri_folder") -> Any:
    from azure.ai.ml import Input

    return Input(type=type, path=path)


def azure_data(name: str, folder: Path) -> Any:
    from azure.ai.ml.entities import Data

    return Data(name=name, version="1", path=str(folder))


@pytest.mark.sdk("`batch_endpoints.invoke`", "a local folder is uploaded")
def test_a_local_folder_is_uploaded(deployed: Sdk) -> None:
    job = deployed.invoke()
    assert deployed.server.end(job) == "Completed"
    assert deployed.server.predictions(job) == "0\n1\n2\n"


@pytest.mark.sdk("`batch_endpoints.invoke`", "a local file is uploaded")
def test_a_local_file_is_one_item(deployed: Sdk) -> None:
    file = data_input(str(deployed.project.inputs / "01.txt"), "uri_file")
    job = deployed.invoke(input=file)
    shown = deployed.server.call("GET", f"/jobs/{job}").data["properties"]["inputs"]
    assert shown["job_data_path"]["jobInputType"] == "uri_file"
    assert deployed.server.end(job) == "Completed"
    assert deployed.server.predictions(job) == "1\n"


@pytest.mark.sdk("`batch_endpoints.invoke(inputs=)`", "one input by name")
def test_inputs_as_a_dict(deployed: Sdk) -> None:
    job = deployed.invoke(input=None, inputs={"numbers": data_input(str(deployed.project.inputs))})
    assert deployed.server.end(job) == "Completed"


@pytest.mark.sdk("`batch_endpoints.invoke`", "a data asset, by id or by name")
def test_a_data_asset(deployed: Sdk) -> None:
    from azure.ai.ml.entities import Data

    data = deployed.client.data.create_or_update(Data(name=deployed.name, path=str(deployed.project.inputs)))
    by_id = deployed.invoke(input=data_input(data.id))
    by_name = deployed.invoke(input=data_input(f"azureml:{deployed.name}:{data.version}"))
    for job in (by_id, by_name):
        assert deployed.server.end(job) == "Completed"
        assert deployed.server.predictions(job) == "0\n1\n2\n"


@pytest.mark.sdk("`batch_endpoints.invoke`", "the path of data that was just created, or only listed")
def test_the_path_of_data(deployed: Sdk) -> None:
    from azure.ai.ml.entities import Data

    data, name = deployed.client.data, f"{deployed.name}-path"
    created = data.create_or_update(Data(name=name, path=str(deployed.project.inputs)))
    with deployed.server.workspace() as workspace:
        workspace.assets.create("data", f"{name}-listed", path=deployed.project.inputs)
    for asset in (created, next(iter(data.list(f"{name}-listed")))):
        job = deployed.invoke(input=data_input(asset.path))
        assert deployed.server.end(job) == "Completed"
        assert deployed.server.predictions(job) == "0\n1\n2\n"


@pytest.mark.sdk("`POST` to the scoring URI", "the output of another job as input")
def test_the_output_of_a_job_is_input(deployed: Sdk) -> None:
    first = deployed.invoke()
    assert deployed.server.end(first) == "Completed"
    for path, status in ((f"jobs/{first}/outputs/score", 201), ("jobs/none/outputs/score", 404), ("jobs/../x/y", 400)):
        body = {"properties": {"inputData": {"x": {"jobInputType": "UriFolder", "uri": f"azureml://{path}"}}}}
        answer = deployed.server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", body)
        assert answer.status == status, path
        if status == 201:
            assert deployed.server.end(answer.data["name"]) == "Completed"
            assert deployed.server.predictions(answer.data["name"]) == "0\n1\n2\n"


@pytest.mark.refused("`batch_endpoints.invoke`", "a path in a datastore where nothing is, named as it was asked for")
def test_a_path_where_nothing_is(deployed: Sdk) -> None:
    with refused() as caught:
        deployed.invoke(input=data_input(f"{DATASTORE}/nothing"))
    assert caught.value.status_code == 400
    assert f"{DATASTORE}/nothing: nothing was uploaded there" in str(caught.value)


@pytest.mark.sdk("`batch_endpoints.invoke`", "a path in a datastore, also one that reads like the label of an asset")
def test_a_path_that_reads_like_a_label(deployed: Sdk) -> None:
    path = f"data/{deployed.name}/labels/val"
    folder = deployed.server.folder / "datastores/workspaceblobstore" / path
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("7")
    job = deployed.invoke(input=data_input(f"{DATASTORE}/{path}"))
    assert deployed.server.end(job) == "Completed"
    assert deployed.server.predictions(job) == "7\n"


def test_data_can_be_called_as_datastores_are(deployed: Sdk) -> None:
    data = deployed.client.data.create_or_update(azure_data("datastores", deployed.project.inputs))
    job = deployed.invoke(input=data_input(f"azureml:{data.id.removeprefix('azureml:')}"))
    assert deployed.server.end(job) == "Completed"
    assert deployed.server.predictions(job) == "0\n1\n2\n"


@pytest.mark.sdk(
    "`batch_endpoints.invoke(params_override=)`", "mini-batch size, instances, retries, timeout, threshold, file name"
)
def test_overrides(deployed: Sdk) -> None:
    override = {
        "mini_batch_size": 3,
        "compute": {"instance_count": 2},
        "error_threshold": 1,
        "output_file_name": "x.csv",
    }
    retries = {"retry_settings": {"max_retries": 1, "timeout": 17}}
    job = deployed.invoke(params_override=[{key: value} for key, value in (override | retries).items()])
    assert deployed.server.end(job) == "Completed"
    folder = deployed.server.folder / "jobs" / job
    assert (folder / "named-outputs/score/x.csv").read_text() == "0\n1\n2\n"
    spec = Deployment.load(folder / "deployment.yml")
    assert (spec.settings.mini_batch_size, spec.instance_count, spec.settings.error_threshold) == (3, 2, 1)
    assert (spec.settings.retry_settings.max_retries, spec.settings.retry_settings.timeout) == (1, 17)


@pytest.mark.sdk(
    "`batch_endpoints.invoke(job_name=, experiment_name=)`",
    "the same name is the same job; with another order it is a conflict",
)
def test_job_name_and_experiment(deployed: Sdk) -> None:
    name = f"{deployed.name}-named"
    assert deployed.invoke(job_name=name, experiment_name="trial") == name
    assert deployed.invoke(job_name=name, experiment_name="trial") == name
    assert deployed.client.jobs.get(name).experiment_name == "trial"
    with refused() as caught:
        deployed.invoke(job_name=name, experiment_name="another")
    assert caught.value.status_code == 409
    assert deployed.server.end(name) == "Completed"


@pytest.mark.sdk("`batch_endpoints.invoke(outputs=)`", "a file or folder of a datastore")
def test_an_output_path(deployed: Sdk, target: Path) -> None:
    from azure.ai.ml import Output

    file = Output(type="uri_file", path=f"{DATASTORE}/{deployed.name}/out/numbers.csv")
    folder = Output(type="uri_folder", path=f"{DATASTORE}/{deployed.name}/folder")
    for given, place in ((file, "out/numbers.csv"), (folder, "folder/predictions.csv")):
        job = deployed.invoke(outputs={"score": given})
        assert deployed.server.end(job) == "Completed"
        written = deployed.server.folder / "datastores/workspaceblobstore" / deployed.name / place
        assert written.read_text() == "0\n1\n2\n"
        deployed.client.jobs.download(job, output_name="score", download_path=target / job)
        assert (target / job / "named-outputs/score" / Path(place).name).read_text() == "0\n1\n2\n"


@pytest.mark.sdk("`batch_endpoints.invoke(outputs=)`", "a path behind the id of a datastore, by any name")
def test_output_behind_the_id_of_a_datastore(deployed: Sdk) -> None:
    """As "Create jobs and input data for batch endpoints" has it."""
    from azure.ai.ml import Output

    store = deployed.client.datastores.get_default()
    output = Output(type="uri_file", path=f"{store.id}/paths/{deployed.name}/my-unique-path")
    job = deployed.invoke(outputs={"sales_estimation": output})
    assert deployed.server.end(job) == "Completed"
    written = deployed.server.folder / "datastores/workspaceblobstore" / deployed.name / "my-unique-path"
    assert written.read_text() == "0\n1\n2\n"


@pytest.mark.sdk("`batch_endpoints.invoke(outputs=)`", "the root of a datastore")
@pytest.mark.parametrize(("type", "path"), [("uri_file", "/{0}"), ("uri_folder", "/"), ("uri_folder", "")])
def test_output_to_the_root_of_a_datastore(deployed: Sdk, type: str, path: str) -> None:
    from azure.ai.ml import Output

    name = f"{deployed.name}.csv"
    written = deployed.server.folder / "datastores/workspaceblobstore" / name
    written.unlink(missing_ok=True)
    output = Output(type=type, path=DATASTORE + path.format(name))
    job = deployed.invoke(outputs={"score": output}, params_override=[{"output_file_name": name}])
    assert deployed.server.end(job) == "Completed"
    assert written.read_text() == "0\n1\n2\n"


@pytest.mark.sdk("`batch_endpoints.invoke(params_override=)`", "`output_dataset`, as older clients send it")
def test_an_output_dataset(deployed: Sdk) -> None:
    store = deployed.client.datastores.get_default()
    override = {
        "output_dataset": {"datastore_id": f"azureml:{store.id}", "path": f"{deployed.name}/old"},
        "output_file_name": "y.csv",
    }
    job = deployed.invoke(params_override=[{key: value} for key, value in override.items()])
    assert deployed.server.end(job) == "Completed"
    written = deployed.server.folder / "datastores/workspaceblobstore" / deployed.name / "old/y.csv"
    assert written.read_text() == "0\n1\n2\n"


@pytest.mark.sdk("`batch_endpoints.invoke(deployment_name=)`", "goes before the default")
def test_a_deployment_by_name(deployed: Sdk) -> None:
    from azure.ai.ml.exceptions import ValidationException

    job = deployed.invoke(deployment_name="first")
    with pytest.raises(ValidationException, match="Deployment name other not found for this endpoint"):
        deployed.invoke(deployment_name="other")
    assert deployed.server.end(job) == "Completed"


@pytest.mark.sdk("`batch_endpoints.invoke`, `list_jobs`", "the endpoint's name in any case")
def test_the_endpoint_in_any_case(deployed: Sdk) -> None:
    name = deployed.name.upper()
    endpoints, deployments = deployed.client.batch_endpoints, deployed.client.batch_deployments
    job = endpoints.invoke(endpoint_name=name, input=data_input(str(deployed.project.inputs))).name
    assert deployed.server.end(job) == "Completed"
    for listed in (endpoints.list_jobs(name), deployments.list_jobs(name, name="First")):
        assert job in [each.name for each in listed]


@pytest.mark.refused("`batch_endpoints.invoke`", "input on this machine or in a private network, in any spelling")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "169.254.169.254"])
def test_the_private_web_is_refused(deployed: Sdk, host: str) -> None:
    with refused() as caught:
        deployed.invoke(input=data_input(f"https://{host}/data/numbers"))
    assert caught.value.status_code == 400
    assert "--allow-private allows that" in str(caught.value)


@pytest.mark.sdk("`batch_endpoints.invoke`", "input by `https://`: the job fetches it, or fails with the reason")
def test_the_web(deployed: Sdk) -> None:
    job = deployed.invoke(input=data_input("https://nowhere.invalid/data/numbers"))
    assert deployed.server.end(job) == "Failed"
    shown = deployed.server.call("GET", f"/jobs/{job}").data["properties"]
    assert shown["inputs"]["job_data_path"]["uri"] == "https://nowhere.invalid/data/numbers"
    assert "https://nowhere.invalid/data" in shown["description"]


@pytest.mark.refused("`batch_endpoints.invoke`", "a path of the server's machine, or out of a datastore")
def test_a_path_of_the_server_is_refused(deployed: Sdk) -> None:
    for address in ("/etc", "file:///etc", f"{DATASTORE}/../../jobs", "azureml://datastores/x/paths/a/../../.."):
        body = {"properties": {"inputData": {"x": {"jobInputType": "UriFolder", "uri": address}}}}
        answer = deployed.server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", body)
        assert answer.status == 400, address
        assert answer.error


@pytest.mark.refused("`batch_endpoints.invoke`", "literal inputs, as for any model deployment")
def test_a_literal_is_refused(deployed: Sdk) -> None:
    from azure.ai.ml import Input

    with refused() as caught:
        deployed.invoke(input=None, inputs={"factor": Input(type="number", default=3)})
    assert "The specified job input type 'LiteralJobInput' is not supported." in str(caught.value)


@pytest.mark.refused("`batch_endpoints.invoke`", "no input, or more than one")
@pytest.mark.parametrize("inputs", [{}, {"a": "", "b": ""}])
def test_a_model_deployment_takes_one_input(deployed: Sdk, inputs: dict[str, str]) -> None:
    inputs_given = {name: data_input(str(deployed.project.inputs)) for name in inputs}
    with refused() as caught:
        deployed.invoke(input=None, inputs=inputs_given)
    assert caught.value.status_code == 400
    assert "input" in str(caught.value)


def test_an_endpoint_routes_to_its_default_or_to_its_only_deployment(azure: Sdk) -> None:
    """Asked without the SDK: once a deployment was named, that sends its name with every later invocation too."""
    azure.deploy()
    data = f"azureml:{azure.name}:1"
    azure.client.data.create_or_update(azure_data(azure.name, azure.project.inputs))
    body = {"properties": {"inputData": {"x": {"jobInputType": "UriFolder", "uri": data}}}}
    path = f"/batchEndpoints/{azure.name}/jobs"
    assert azure.server.call("POST", path, body).data["properties"]["deploymentName"] == "first"
    azure.create(azure.client.models.get(azure.name, version="1"), "second")
    answer = azure.server.call("POST", path, body)
    assert (answer.status, answer.error[:37]) == (400, "No valid deployments to route to. Ple")
    endpoint = azure.client.batch_endpoints.get(azure.name)
    endpoint.defaults.deployment_name = "second"
    azure.client.batch_endpoints.begin_create_or_update(endpoint).result()
    last = azure.server.call("POST", path, body).data
    assert last["properties"]["deploymentName"] == "second"
    assert azure.server.end(last["name"]) == "Completed"


def test_jobs_and_assets_outlive_their_endpoint(azure: Sdk, target: Path) -> None:
    azure.deploy()
    job = azure.invoke()
    assert azure.server.end(job) == "Completed"
    azure.client.batch_endpoints.begin_delete(azure.name).result()
    azure.client.jobs.download(job, output_name="score", download_path=target)
    assert (target / "named-outputs/score/predictions.csv").read_text() == "0\n1\n"
