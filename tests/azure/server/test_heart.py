"""The sample's notebook, call by call, with the heart model: real predictions, equal to `batchtwin score`'s."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ROOT, batchtwin

ENDPOINT = "heart-classifier-batch"
CUSTOM = ROOT / "deployment-custom"


@pytest.fixture(scope="module")
def model(sdk: Any, heart_model: Path) -> Any:
    """The registered model."""
    from azure.ai.ml.entities import Model

    sdk.models.create_or_update(Model(name="heart-classifier-mlflow", path=str(heart_model), type="mlflow_model"))
    return sdk.models.get("heart-classifier-mlflow", label="latest")


@pytest.fixture(scope="module")
def data(sdk: Any) -> Any:
    """The registered data."""
    from azure.ai.ml.entities import Data

    sdk.data.create_or_update(Data(name="heart-dataset-unlabeled", path=str(ROOT / "data"), type="uri_folder"))
    return sdk.data.get("heart-dataset-unlabeled", label="latest")


@pytest.fixture(scope="module")
def endpoint(sdk: Any) -> Iterator[Any]:
    """The endpoint, deleted at the end."""
    from azure.ai.ml.entities import AmlCompute, BatchEndpoint

    if not any(compute.name == "batch-cluster" for compute in sdk.compute.list()):
        sdk.compute.begin_create_or_update(AmlCompute(name="batch-cluster", min_instances=0, max_instances=2)).result()
    sdk.batch_endpoints.begin_create_or_update(BatchEndpoint(name=ENDPOINT)).result()
    yield sdk.batch_endpoints.get(ENDPOINT)
    sdk.batch_endpoints.begin_delete(ENDPOINT).result()


def run(sdk: Any, data: Any, folder: Path, **words: Any) -> Path:
    """Invoke, stream, download the child's output as the notebook does; return the file."""
    from azure.ai.ml import Input

    job = sdk.batch_endpoints.invoke(endpoint_name=ENDPOINT, input=Input(type="uri_folder", path=data.id), **words)
    with contextlib.redirect_stdout(io.StringIO()):
        sdk.jobs.stream(job.name)
    assert sdk.jobs.get(job.name).status == "Completed"
    child = next(iter(sdk.jobs.list(parent_job_name=job.name)))
    sdk.jobs.download(name=child.name, output_name="score", download_path=folder)
    return folder / "named-outputs/score/predictions.csv"


def scored(deployment: Path, model: Path, folder: Path) -> str:
    """What `batchtwin score` predicts."""
    done = batchtwin("score", deployment, "--input", ROOT / "data", "--model", model, "--output", folder / "scored")
    assert done.code == 0, done.err
    return done.predictions


@pytest.mark.sdk("the sample's notebook", "the predictions of `batchtwin score`, byte for byte")
def test_without_a_script(
    sdk: Any, model: Any, data: Any, endpoint: Any, heart_model: Path, target: Path, tmp_path: Path
) -> None:
    from azure.ai.ml.entities import BatchRetrySettings, ModelBatchDeployment, ModelBatchDeploymentSettings

    deployment = ModelBatchDeployment(
        name="classifier-xgboost-mlflow",
        endpoint_name=endpoint.name,
        model=model,
        compute="batch-cluster",
        settings=ModelBatchDeploymentSettings(
            instance_count=2,
            max_concurrency_per_instance=2,
            mini_batch_size=2,
            output_action="append_row",
            output_file_name="predictions.csv",
            retry_settings=BatchRetrySettings(max_retries=3, timeout=300),
            logging_level="info",
        ),
    )
    sdk.batch_deployments.begin_create_or_update(deployment).result()
    routed = sdk.batch_endpoints.get(endpoint.name)
    routed.defaults.deployment_name = deployment.name
    sdk.batch_endpoints.begin_create_or_update(routed).result()
    predictions = run(sdk, data, target).read_text()
    assert len(predictions.splitlines()) == 303
    assert predictions == scored(ROOT / "deployment-simple/deployment.yml", heart_model, tmp_path)


@pytest.mark.sdk("`load_model_batch_deployment`", "a deployment from its YAML, with a scoring script")
def test_with_a_script_from_its_yaml(
    sdk: Any, model: Any, data: Any, endpoint: Any, heart_model: Path, target: Path, tmp_path: Path
) -> None:
    from azure.ai.ml.entities._load_functions import load_model_batch_deployment

    deployment = load_model_batch_deployment(CUSTOM / "deployment.yml")
    deployment.endpoint_name = endpoint.name
    sdk.batch_deployments.begin_create_or_update(deployment).result()
    predictions = run(sdk, data, target, deployment_name=deployment.name).read_text()
    assert predictions == scored(CUSTOM / "deployment.yml", heart_model, tmp_path)
