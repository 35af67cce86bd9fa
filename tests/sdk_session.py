"""One user's session with the SDK that this Python has: sdk_session.py WORKSPACE PROJECT NAME; the last line is JSON.

It imports nothing of batchtwin: the SDK of another age has a Python environment of its own.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import warnings
from pathlib import Path


def main(workspace: Path, project: Path, name: str) -> None:
    """From nothing to predictions, and back."""
    warnings.simplefilter("ignore")
    import azure.ai.ml
    from azure.ai.ml import Input, MLClient
    from azure.ai.ml.entities import (
        AmlCompute,
        BatchEndpoint,
        BatchRetrySettings,
        CodeConfiguration,
        Data,
        Environment,
        Model,
        ModelBatchDeployment,
        ModelBatchDeploymentSettings,
    )
    from azure.core.exceptions import ResourceNotFoundError
    from azure.identity import DefaultAzureCredential

    client = MLClient.from_config(DefaultAzureCredential(), path=str(workspace / "config.json"))
    model = client.models.create_or_update(Model(name=name, path=str(project / "model")))
    data = client.data.create_or_update(Data(name=name, path=str(project / "inputs"), type="uri_folder"))
    client.compute.begin_create_or_update(AmlCompute(name="cluster", max_instances=2)).result()
    endpoint = client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=name)).result()
    deployment = ModelBatchDeployment(
        name="only",
        endpoint_name=name,
        model=model,
        compute="cluster",
        environment=Environment(name="plain", image="python:3.11", version="1"),
        code_configuration=CodeConfiguration(code=str(project / "code"), scoring_script="driver.py"),
        settings=ModelBatchDeploymentSettings(
            mini_batch_size=1, retry_settings=BatchRetrySettings(max_retries=2, timeout=60)
        ),
    )
    client.batch_deployments.begin_create_or_update(deployment).result()
    endpoint = client.batch_endpoints.get(name)
    endpoint.defaults = {"deployment_name": "only"}
    client.batch_endpoints.begin_create_or_update(endpoint).result()
    job = client.batch_endpoints.invoke(endpoint_name=name, input=Input(type="uri_folder", path=data.id))
    with contextlib.redirect_stdout(sys.stderr):
        client.jobs.stream(job.name)
    child = next(iter(client.jobs.list(parent_job_name=job.name)))
    with tempfile.TemporaryDirectory() as folder:
        client.jobs.download(child.name, output_name="score", download_path=folder)
        predictions = (Path(folder) / "named-outputs/score/predictions.csv").read_text()
    jobs = [each.name for each in client.batch_deployments.list_jobs(name, name="only")]
    assert jobs == [job.name]
    client.batch_endpoints.begin_delete(name).result()
    try:
        client.jobs.get("none")
        failure = ""
    except ResourceNotFoundError as error:
        failure = error.error.message if error.error else str(error)
    version = azure.ai.ml.__version__
    print()  # after the dots of `begin_delete`
    print(json.dumps({"job": job.name, "predictions": predictions, "version": version, "failure": failure}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
