"""The jobs' REST face for plain HTTP clients, in the form that the documentation gives: capitals in the keys.

Source: https://learn.microsoft.com/azure/machine-learning/how-to-access-data-batch-endpoints-jobs, tab REST.
"""

from __future__ import annotations

from typing import Any

import pytest
from azure_sdk import Sdk

from batchtwin.azure.connection import WORKSPACE


@pytest.fixture(scope="module")
def data(deployed: Sdk) -> str:
    """The name of a data asset with the project's input."""
    from azure.ai.ml.entities import Data

    deployed.client.data.create_or_update(Data(name=deployed.name, version="1", path=str(deployed.project.inputs)))
    return deployed.name


def body(uri: str, **more: Any) -> dict[str, Any]:
    return {"properties": {"InputData": {"numbers": {"JobInputType": "UriFolder", "Uri": uri}}, **more}}


@pytest.mark.sdk("`POST` to the scoring URI", "the documented form, without the SDK")
def test_invoke_poll_and_read_the_output(deployed: Sdk, data: str) -> None:
    server = deployed.server
    uri = f"azureml://locations/local/workspaces/{WORKSPACE}/data/{data}/versions/1"
    place = "azureml://datastores/workspaceblobstore/paths/rest/numbers.csv"
    output = {"score": {"JobOutputType": "UriFile", "Uri": place}}
    endpoint = server.call("GET", f"/batchEndpoints/{deployed.name}").data
    headers = {"Authorization": f"Bearer {server.token().data['access_token']}", "azureml-model-deployment": "first"}
    answer = server.ask("POST", endpoint["properties"]["scoringUri"], body(uri, OutputData=output), headers)
    assert answer.status == 201
    job = answer.data["name"]
    assert answer.data["properties"]["status"] in {"NotStarted", "Starting", "Preparing", "Running"}
    assert server.end(job) == "Completed"
    assert server.ask("GET", answer.headers["Location"], headers=headers).data["properties"]["status"] == "Completed"
    assert (server.folder / "datastores/workspaceblobstore/rest/numbers.csv").read_text() == "0\n1\n2\n"


@pytest.mark.sdk("`POST` to the scoring URI", "an asset by version or label, by ARM id, or a path in a datastore")
@pytest.mark.parametrize(
    "uri",
    [
        "azureml://locations/local/workspaces/local/data/{0}/versions/1",
        "azureml://locations/local/workspaces/local/data/{0}/labels/latest",
        "azureml:{0}:1",
        "azureml:{0}@latest",
        "azureml:/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/data/{0}/versions/1",
        "azureml://datastores/workspaceblobstore/paths/assets/data/{0}/1/inputs",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/datastores/workspaceblobstore/paths/assets/data/{0}/1/inputs",
    ],
)
def test_each_way_to_name_the_input(deployed: Sdk, data: str, uri: str) -> None:
    answer = deployed.server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", body(uri.format(data)))
    assert answer.status == 201, answer.text
    assert deployed.server.end(answer.data["name"]) == "Completed"


@pytest.mark.sdk("`OutputData`", "a path below the ARM id of a datastore")
@pytest.mark.parametrize(("type", "file"), [("UriFolder", "predictions.csv"), ("UriFile", "numbers.csv")])
def test_output_below_the_id_of_a_datastore(deployed: Sdk, data: str, type: str, file: str) -> None:
    server = deployed.server
    store = server.call("GET", "/datastores/workspaceblobstore").data["id"]
    path = f"{data}/by-id" if type == "UriFolder" else f"{data}/by-id/{file}"
    output = {"score": {"JobOutputType": type, "Uri": f"{store}/paths/{path}"}}
    answer = server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", body(f"azureml:{data}:1", OutputData=output))
    assert server.end(answer.data["name"]) == "Completed"
    written = server.folder / "datastores/workspaceblobstore" / data / "by-id" / file
    assert written.read_text() == "0\n1\n2\n"


@pytest.mark.sdk("`repeatability-request-id`", "a request that is sent twice starts one job")
def test_the_same_request_id_is_one_job(deployed: Sdk, data: str) -> None:
    headers = {"repeatability-request-id": f"{deployed.name}-once"}
    path, request = f"/batchEndpoints/{deployed.name}/jobs", body(f"azureml:{data}:1")
    first = deployed.server.call("POST", path, request, headers).data["name"]
    assert deployed.server.call("POST", path, request, headers).data["name"] == first
    request["properties"]["MiniBatchSize"] = 2
    assert deployed.server.call("POST", path, request, headers).status == 409
    assert deployed.server.end(first) == "Completed"


@pytest.mark.sdk("`azureml-model-deployment`", "the deployment's name in any case")
def test_the_deployment_in_any_case(deployed: Sdk, data: str) -> None:
    headers = {"azureml-model-deployment": "First"}
    answer = deployed.server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", body(f"azureml:{data}:1"), headers)
    assert answer.status == 201, answer.text
    assert deployed.server.end(answer.data["name"]) == "Completed"


@pytest.mark.refused("`azureml-model-deployment`", "a deployment that is not there, in the service's words")
def test_no_such_deployment(deployed: Sdk, data: str) -> None:
    headers = {"azureml-model-deployment": "none"}
    answer = deployed.server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", body(f"azureml:{data}:1"), headers)
    assert (answer.status, answer.error) == (404, "Deployment name none not found for this endpoint")


@pytest.mark.refused("`OutputData`", "output outside of the datastores")
def test_output_goes_to_datastores_only(deployed: Sdk, data: str) -> None:
    for place in ("/tmp/x", "file:///tmp/x", "https://example.com/x", "azureml://datastores/x/paths/../../y"):  # noqa: S108
        output = {"score": {"JobOutputType": "UriFolder", "Uri": place}}
        request = body(f"azureml:{data}:1", OutputData=output)
        answer = deployed.server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", request)
        assert answer.status == 400, place
        assert answer.error


@pytest.mark.refused("`retrySettings`", "a timeout of zero, which the SDK leaves out")
def test_a_timeout_of_zero(deployed: Sdk, data: str) -> None:
    request = body(f"azureml:{data}:1", RetrySettings={"timeout": "PT0S"})
    answer = deployed.server.call("POST", f"/batchEndpoints/{deployed.name}/jobs", request)
    assert answer.status == 400
    assert "settings.retry_settings.timeout: 0 is out of range" in answer.error


@pytest.mark.refused("`PUT` of a deployment", "a timeout of zero, which the SDK leaves out")
def test_a_deployment_with_a_timeout_of_zero(deployed: Sdk) -> None:
    path = f"/batchEndpoints/{deployed.name}/deployments"
    resource = deployed.server.call("GET", f"{path}/first").data
    resource["properties"]["retrySettings"]["timeout"] = "PT0S"
    answer = deployed.server.call("PUT", f"{path}/zero", resource)
    assert answer.status == 400
    assert "settings.retry_settings.timeout: 0 is out of range" in answer.error
